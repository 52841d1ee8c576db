"""Setup, session and tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login, logout
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services
from accounts.api.authentication import actor_of, address_of, user_of
from accounts.models import ApiToken, User
from audit.services import record
from common.permissions import Permission


class UserSerializer(serializers.ModelSerializer[User]):
    """Who is signed in."""

    is_administrator = serializers.BooleanField(source="is_superuser")

    class Meta:
        """What the person may know."""

        model = User
        fields = ("id", "username", "email", "is_administrator")


class SessionSerializer(serializers.Serializer[dict[str, object]]):
    """The state of this browser."""

    user = UserSerializer(allow_null=True)
    setup_required = serializers.BooleanField()
    csrf_token = serializers.CharField()
    version = serializers.CharField()


class CredentialsSerializer(serializers.Serializer[dict[str, str]]):
    """A name and its password."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False)


class SetupSerializer(CredentialsSerializer):
    """The first administrator."""

    token = serializers.CharField(max_length=200)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """An API token, without its secret."""

    class Meta:
        """What may be shown."""

        model = ApiToken
        fields = ("id", "name", "created", "last_used")
        read_only_fields = ("created", "last_used")


class NewTokenSerializer(TokenSerializer):
    """An API token with its secret, this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        """With the secret."""

        fields = ("id", "name", "created", "last_used", "secret")  # type: ignore[assignment]


class TokenListSerializer(serializers.Serializer[dict[str, object]]):
    """A user's tokens."""

    items = TokenSerializer(many=True)
    total = serializers.IntegerField()


def _session(request: Request, user: User | None) -> dict[str, Any]:
    return {
        "user": UserSerializer(user).data if user else None,
        "setup_required": services.setup_required(),
        "csrf_token": get_token(request._request),
        "version": "0.1.0",
    }


class SetupView(APIView):
    """The first administrator."""

    permission_classes = (AllowAny,)

    @extend_schema(request=SetupSerializer, responses={201: SessionSerializer})
    def post(self, request: Request) -> Response:
        """Make it with the one-time token, and sign in."""
        form = SetupSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = services.complete_setup(**form.validated_data, address=address_of(request))
        login(request._request, user)
        return Response(_session(request, user), 201)


class SessionView(APIView):
    """Signing in and out."""

    permission_classes = (AllowAny,)

    @extend_schema(responses=SessionSerializer)
    def get(self, request: Request) -> Response:
        """Say who is signed in; sets the CSRF cookie."""
        user = request.user if isinstance(request.user, User) else None
        return Response(_session(request, user))

    @extend_schema(request=CredentialsSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        """Sign in."""
        form = CredentialsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        address = address_of(request)
        user = services.sign_in(request._request, **form.validated_data, address=address)
        login(request._request, user)
        return Response(_session(request, user))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out."""
        if request.user:
            record(actor=actor_of(request), permission=Permission.SESSION_REMOVE)
        logout(request._request)
        return Response(status=204)


class TokenListView(APIView):
    """The user's own tokens."""

    @extend_schema(responses=TokenListSerializer)
    def get(self, request: Request) -> Response:
        """List."""
        tokens = ApiToken.objects.filter(user=user_of(request)).order_by("-created")
        rows = TokenSerializer(tokens, many=True).data
        return Response({"items": rows, "total": len(rows)})

    @extend_schema(request=TokenSerializer, responses={201: NewTokenSerializer})
    def post(self, request: Request) -> Response:
        """Make one."""
        form = TokenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        token, secret = services.create_token(
            actor=actor_of(request), user=user_of(request), name=form.validated_data["name"]
        )
        return Response({**TokenSerializer(token).data, "secret": secret}, 201)


class TokenView(APIView):
    """One token."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke it."""
        token = get_object_or_404(ApiToken, pk=pk, user=user_of(request))
        services.remove_token(actor=actor_of(request), token=token)
        return Response(status=204)
