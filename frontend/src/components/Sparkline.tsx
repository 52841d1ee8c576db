/** A line of the last values, scaled to its own highest. */
export function Sparkline({ values }: { values: number[] }) {
  if (values.length < 2) return <svg width="52" height="18" aria-hidden />
  const top = Math.max(...values, 1)
  const step = 50 / (values.length - 1)
  const points = values.map(
    (value, i) => `${(1 + i * step).toFixed(1)},${(16 - (value / top) * 13).toFixed(1)}`,
  )
  return (
    <svg width="52" height="18" aria-hidden>
      <polyline points={points.join(' ')} fill="none" stroke="var(--series1)" strokeWidth="1.3" />
    </svg>
  )
}
