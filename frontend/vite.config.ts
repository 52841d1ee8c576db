import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const platform = process.env.HYTHE_PLATFORM ?? 'http://127.0.0.1:8800'

export default defineConfig({
  plugins: [react()],
  // The server that answers index.html swaps the placeholder for the nonce of each request.
  html: { cspNonce: '__CSP_NONCE__' },
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    manifest: true,
    target: 'es2023',
    // A data: URL would need its own allowance in the content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    modulePreload: { polyfill: false },
  },
  css: { modules: { generateScopedName: '[name]_[local]_[hash:base64:4]' } },
  server: {
    proxy: {
      '/api': platform,
      '/ws': { target: platform.replace('http', 'ws'), ws: true },
    },
  },
})
