"""The page's one style sheet and its one line of script."""

from __future__ import annotations

from tcc.fonts import FONTS

STYLE = """
:root { --ink: #1b1b1b; --faint: #595959; --line: #d9d9d9; --tint: #f4f6f8; --accent: #005a8f; --warn: #8a3b00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.5 FONTS; overflow-wrap: break-word; }
main, header, nav, footer { max-width: 84rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 1.75rem; }
h1 { margin: 0 0 .4rem; font-size: 1.7rem; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 0 0 .8rem; font-size: 1.25rem; font-weight: 650; }
h3 { margin: 1.6rem 0 .5rem; font-size: 1rem; font-weight: 650; }
p { margin: 0 0 .8rem; max-width: 46rem; }
header p { max-width: 62rem; font-size: 1.05rem; }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible, video:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .4rem 0 0; padding: 0 0 .8rem;
  border-bottom: 1px solid var(--line); font-size: .92rem; }
section { padding: 1.6rem 0 .6rem; }
section + section { border-top: 1px solid var(--line); }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: #fff; padding: .3rem .6rem; }
.scroll { overflow-x: auto; margin: 0 0 1rem; position: relative; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: .4rem; }
caption span { display: block; width: max-content; max-width: min(25rem, calc(100vw - 2rem)); }
.metrics caption span { max-width: min(46rem, calc(100vw - 2rem)); }
th, td { padding: .35rem 1.1rem .35rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th { vertical-align: bottom; border-bottom: 1px solid var(--ink); }
tbody th { font-weight: 400; }
td.number, th.number { text-align: right; white-space: nowrap; }
.metrics { width: 100%; }
.metrics th, .metrics td { padding: .36rem .4rem; }
.metrics tr > :first-child { padding-left: 0; }
.metrics tbody th { min-width: 12rem; }
.metrics thead tr.groups > * { border-bottom: 0; padding-bottom: 0; }
.metrics thead th[scope=colgroup] { text-align: left; color: var(--faint); font-weight: 400; }
.metrics td, .metrics thead th + th[scope=col] { text-align: right; }
.metrics thead th { line-height: 1.25; }
.metrics td { white-space: nowrap; }
.metrics tbody th { line-height: 1.3; }
.metrics tbody th b { font-weight: 600; }
.metrics tbody th small { display: block; color: var(--faint); font-size: .8rem; }
.metrics .model { background: var(--tint); }
.metrics td.undefined { white-space: normal; }
.metrics td[colspan].undefined { text-align: left; }
.undefined, .warning { color: var(--warn); }
.which { display: block; font-size: .72rem; line-height: 1.2; color: var(--faint); white-space: nowrap; }
.metrics .ceiling { border-left: 3px double var(--faint); padding-left: .6rem; }
.best { display: block; font-size: .72rem; line-height: 1.2; letter-spacing: .02em; }
.interval { display: block; font-size: .75rem; line-height: 1.25; color: var(--faint); white-space: nowrap; }
.notes table { color: var(--ink); }
.notes small { color: var(--faint); }
.notes { font-size: .85rem; color: var(--faint); }
.notes p, .notes li { max-width: 62rem; }
.notes ol { padding-left: 1.3rem; margin: 0 0 .8rem; }
sup { line-height: 0; font-size: .7em; }
figure { margin: 0 0 1.2rem; }
figcaption { color: var(--faint); font-size: .88rem; max-width: 46rem; margin-top: .35rem; }
img, video { max-width: 100%; height: auto; display: block; }
video { width: 100%; background: #fff; border: 1px solid var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; list-style: none; margin: .4rem 0 0; padding: 0;
  font-size: .85rem; }
.legend span { display: inline-block; width: .85em; height: .85em; margin-right: .35em; vertical-align: -.08em;
  border: 1px solid rgba(0,0,0,.25); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.charts { display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.charts > * { min-width: 0; }
.charts > div > h3 { margin-top: 0; }
.charts img { width: 100%; max-width: 36rem; }
.wide img, .wide video { width: 100%; max-width: 62rem; }
.tall img { width: 100%; max-width: 44rem; }
.multiples { display: grid; gap: 1rem 1.5rem; align-items: end;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.multiples img { width: 100%; max-width: 30rem; }
.frame img { max-width: none; }
.frame small { display: block; white-space: nowrap; }
pre { margin: 0 0 1rem; padding: .8rem 1rem; background: var(--tint); overflow-x: auto; font-size: .82rem;
  line-height: 1.45;
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.settings { columns: 20rem; column-gap: 2rem; }
.settings pre { break-inside: avoid; background: none; padding: 0; margin: 0 0 .9rem; white-space: pre-wrap; }
details { margin: 0 0 .8rem; }
summary { cursor: pointer; }
code { font-family: ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; font-size: .92em;
  overflow-wrap: anywhere; }
footer { padding-bottom: 2rem; color: var(--faint); font-size: .85rem; }
@media (min-width: 75rem) {
  .first { display: grid; grid-template-columns: minmax(0, 23fr) minmax(0, 17fr); gap: 0 2rem; align-items: start; }
}
@media (max-width: 40rem) {
  main, header, nav, footer { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.3rem; }
  .metrics tr > :first-child { position: sticky; left: 0; z-index: 1; background: #fff; min-width: 9rem;
    max-width: 9rem; }
}
@media print {
  body { font-size: 10.5pt; }
  nav, .skip { display: none; }
  main, header, footer { max-width: none; padding-left: 0; padding-right: 0; }
  .first { display: block; }
  .first figure { max-width: 30rem; margin-top: 1rem; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  thead th.number { white-space: normal; }
  .metrics { font-size: 7.5pt; }
  .metrics .which, .metrics .interval { white-space: normal; font-size: 6.5pt; }
  .metrics th, .metrics td { padding: .2rem; }
  .metrics tbody th { min-width: 6rem; }
  .frame img { width: 5.2rem; height: auto; }
  .frame small { font-size: 7pt; white-space: normal; }
  td:has(.frame), th:has(.frame) { padding-right: .3rem; }
  .charts, .multiples { grid-template-columns: 1fr 1fr; gap: .6rem 1rem; }
  #details .charts { grid-template-columns: 1fr; }
  #details img { max-width: 24rem; }
  figure, tr, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  a { color: inherit; text-decoration: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
""".replace("FONTS", FONTS)

# Who has asked the system for less motion gets a video that waits for its play button.
SCRIPT = (
    "if (matchMedia('(prefers-reduced-motion: reduce)').matches)"
    " document.querySelectorAll('video').forEach(v => { v.removeAttribute('autoplay'); v.pause(); });"
)
