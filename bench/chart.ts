import type { Row } from './table.ts'
import type { Workload } from './workloads.ts'

/** Sizes in px. */
const WIDTH = 720
const NAMES = 150
const FIGURES = 80
const BAR = 16
const STEP = 22
const HEADING = 40
/** Bars end at this many times the best: the figure behind them tells the rest. */
const LONGEST = 10
const GREY = '#808890'
const OURS = '#2f81f7'

/** Bars of the first figure of each workload, on no ground: greys and a blue that stand on white and on black. */
export function chartOf(tables: readonly { workload: Workload; rows: readonly Row[] }[]): string {
  const parts: string[] = []
  let y = 0
  for (const { workload, rows } of tables) {
    const [best] = rows
    if (!best) continue
    const [figure] = workload.figures
    const unit = (best.values[0] ?? 1) * LONGEST
    parts.push(
      text(0, y + 22, `${workload.id}: ${workload.title}`, 'font-weight="600"'),
      text(WIDTH, y + 22, figure.title, 'text-anchor="end"'),
    )
    y += HEADING
    for (const { name, values } of rows) {
      const value = values[0] ?? Number.NaN
      const share = Math.min(1, value / unit)
      const width = Math.max(2, Math.round(share * (WIDTH - NAMES - FIGURES)))
      const ours = name.startsWith('Locum')
      parts.push(
        text(NAMES - 8, y + 12, name, `text-anchor="end"${ours ? ' font-weight="600"' : ''}`),
        `<rect x="${NAMES}" y="${y}" width="${width}" height="${BAR}" rx="2" fill="${ours ? OURS : GREY}"${ours ? '' : ' opacity="0.55"'}/>`,
      )
      if (share === 1) parts.push(cutAt(NAMES + width - 24, y))
      parts.push(text(NAMES + width + 8, y + 12, value.toFixed(figure.digits)))
      y += STEP
    }
    y += 12
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="13" fill="${GREY}">
${parts.join('\n')}
</svg>
`
}

/** A gap in a bar that would be longer. */
function cutAt(x: number, y: number): string {
  const points = `${x},${y + BAR + 1} ${x + 6},${y - 1} ${x + 11},${y - 1} ${x + 5},${y + BAR + 1}`
  return `<polygon points="${points}" fill="${GREY}"/>`
}

function text(x: number, y: number, words: string, more = ''): string {
  const escaped = words.replace(/&/g, '&amp;').replace(/</g, '&lt;')
  return `<text x="${x}" y="${y}" ${more}>${escaped}</text>`
}
