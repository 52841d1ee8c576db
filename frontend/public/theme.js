// Sets the theme before the first paint; a blocking file because inline scripts are refused.
;(() => {
  let choice = 'system'
  try {
    choice = localStorage.getItem('hythe.theme') || 'system'
  } catch {
    // Storage may be forbidden; the system's theme serves.
  }
  const dark =
    choice === 'dark' || (choice === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
