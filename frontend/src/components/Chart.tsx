import 'uplot/dist/uPlot.min.css'
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'

export type Series = { label: string; values: (number | null)[]; color: 1 | 2 | 3 }

type ChartProps = {
  /** Milliseconds since 1970, one for each value. */
  times: number[]
  series: Series[]
  format: (value: number) => string
  /** The top of the scale is at least this. */
  floor?: number
  /** A sentence for those who do not see the lines. */
  sentence: string
  height?: number
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

/** Lines over the last minutes, with one crosshair on all charts of a page. */
export function Chart({ times, series, format, floor = 1, sentence, height = 170 }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const data: uPlot.AlignedData = [times.map((at) => at / 1000), ...series.map((one) => one.values)]
  const latest = useRef(data)
  latest.current = data
  const labels = series.map((one) => one.label).join('\n')
  const shape = useRef({ series, format, floor })
  shape.current = { series, format, floor }
  // biome-ignore lint/correctness/useExhaustiveDependencies: other names are another chart
  useEffect(() => {
    const box = place.current
    if (!box) return
    const make = () => {
      chart.current?.destroy()
      const axis = { stroke: color('--fg3'), font: '12px Inter Variable', ticks: { show: false } }
      const grid = { stroke: color('--line'), width: 1 }
      const spans = shape.current.series.map((one) => ({
        label: one.label,
        stroke: color(`--series${one.color}`),
        fill: one.color === 1 ? color('--series1-fill') : undefined,
        width: 1.5,
        points: { show: false },
        value: (_: uPlot, value: number | null) =>
          value === null ? '–' : shape.current.format(value),
      }))
      chart.current = new uPlot(
        {
          width: box.clientWidth,
          height,
          cursor: { sync: { key: 'hythe' } },
          legend: { show: false },
          scales: {
            // A chart that has just begun shows a whole minute, filling from the right.
            x: { range: (_, first, last) => [Math.min(first, last - 60), last] },
            y: { range: (_, __, top) => [0, Math.max(top * 1.1, shape.current.floor)] },
          },
          series: [{}, ...spans] as uPlot.Series[],
          axes: [
            {
              ...axis,
              grid: { show: false },
              space: 90,
              size: 28,
              incrs: [15, 30, 60, 120, 300],
              values: (_, ticks) => ticks.map(minute),
            },
            {
              ...axis,
              grid,
              size: 68,
              values: (_, ticks) => ticks.map((tick) => shape.current.format(tick)),
            },
          ],
        },
        latest.current,
        box,
      )
    }
    make()
    const size = new ResizeObserver(() =>
      chart.current?.setSize({ width: box.clientWidth, height }),
    )
    size.observe(box)
    const theme = new MutationObserver(make)
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      size.disconnect()
      theme.disconnect()
      chart.current?.destroy()
      chart.current = null
    }
  }, [labels, height])
  useEffect(() => chart.current?.setData(latest.current))
  return (
    <figure style={{ margin: 0 }}>
      <div ref={place} aria-hidden style={{ minHeight: height }} />
      <figcaption className="sr">{sentence}</figcaption>
    </figure>
  )
}

function minute(seconds: number): string {
  const time = new Date(seconds * 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}
