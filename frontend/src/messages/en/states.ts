const words = {
  running: 'Running',
  healthy: 'Running',
  starting: 'Starting',
  unhealthy: 'Unhealthy',
  paused: 'Paused',
  restarting: 'Restarting',
  removing: 'Removing',
  created: 'Created',
  exited: 'Exited',
  failed: 'Exited with error',
  dead: 'Dead',
  unknown: 'Unknown',
}

export const text = {
  words,
  word: (kind: keyof typeof words, code?: number | null) =>
    kind === 'failed' && code ? `Exited ${code}` : words[kind],
  intents: {
    start: 'Starting',
    stop: 'Stopping',
    restart: 'Restarting',
    kill: 'Killing',
    remove: 'Removing',
  },
}
