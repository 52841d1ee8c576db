"""Every route of the platform."""

from __future__ import annotations

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from accounts.api import views as accounts
from audit.api import views as audit
from common.api import views as common
from config.pages import DocsView, page
from environments.api import views as environments
from workloads.api import views as workloads

_ENVIRONMENT = "api/v1/environments/<str:environment>"

urlpatterns = [
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(url_name="schema"), name="docs"),
    path("api/v1/health", common.HealthView.as_view(), name="health"),
    path("api/v1/jobs", common.JobListView.as_view(), name="jobs"),
    path("api/v1/jobs/<uuid:pk>", common.JobView.as_view(), name="job"),
    path("api/v1/jobs/<uuid:pk>/cancel", workloads.JobCancelView.as_view(), name="job-cancel"),
    path("api/v1/setup", accounts.SetupView.as_view(), name="setup"),
    path("api/v1/session", accounts.SessionView.as_view(), name="session"),
    path("api/v1/tokens", accounts.TokenListView.as_view(), name="tokens"),
    path("api/v1/tokens/<int:pk>", accounts.TokenView.as_view(), name="token"),
    path("api/v1/activity", audit.ActivityView.as_view(), name="activity"),
    path("api/v1/environments", environments.EnvironmentListView.as_view(), name="environments"),
    path(_ENVIRONMENT, environments.EnvironmentView.as_view(), name="environment"),
    path(f"{_ENVIRONMENT}/containers", workloads.ContainerListView.as_view(), name="containers"),
    path(f"{_ENVIRONMENT}/summary", workloads.SummaryView.as_view(), name="summary"),
    path(
        f"{_ENVIRONMENT}/containers/bulk",
        workloads.ContainerBulkView.as_view(),
        name="container-bulk",
    ),
    path(
        f"{_ENVIRONMENT}/containers/<str:ref>",
        workloads.ContainerView.as_view(),
        name="container",
    ),
    path(
        f"{_ENVIRONMENT}/containers/<str:ref>/inspect",
        workloads.ContainerInspectView.as_view(),
        name="container-inspect",
    ),
    path(
        f"{_ENVIRONMENT}/containers/<str:ref>/<str:verb>",
        workloads.ContainerVerbView.as_view(),
        name="container-verb",
    ),
    path(f"{_ENVIRONMENT}/images", workloads.ImageListView.as_view(), name="images"),
    path(f"{_ENVIRONMENT}/images/pull", workloads.ImagePullView.as_view(), name="image-pull"),
    path(f"{_ENVIRONMENT}/images/<path:ref>", workloads.ImageView.as_view(), name="image"),
    # Every other address is a page: the program in the browser knows which.
    re_path(r"^(?!api/|ws/|static/|assets/).*$", page, name="page"),
]
