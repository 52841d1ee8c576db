export const text = {
  signIn: 'Sign in',
  setup: 'Make the first administrator',
  setupLead: 'This link works once. The account can do everything on this machine.',
  setupDone: 'Setup is done already.',
  setupNeeded: 'Hythe has no administrator yet. Open the setup link that its terminal printed.',
  noToken: 'This address lacks the setup token. Open the whole link that the terminal printed.',
  username: 'User name',
  password: 'Password',
  passwordHint: 'At least 10 characters',
  create: 'Create administrator',
  toSignIn: 'Sign in',
}
