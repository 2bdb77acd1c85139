// Lines over time.

import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  label: string;
  values: (number | null)[];
  color: string;
}

/** `times`: milliseconds since the Unix epoch, rising. */
export function Chart({ title, times, series, description }: { title: string; times: number[]; series: Series[]; description?: string }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const names = JSON.stringify(series.map((one) => [one.label, one.color]));
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const color = getComputedStyle(element).color;
    const axis = { stroke: color, grid: { stroke: "rgba(128,128,128,0.2)" }, ticks: { stroke: "rgba(128,128,128,0.2)" } };
    const lines = (JSON.parse(names) as [string, string][]).map(([label, stroke]) => ({ label, stroke, width: 2, spanGaps: true, points: { size: 4 } }));
    const made = new uPlot({ width: Math.max(260, element.clientWidth), height: 200, series: [{}, ...lines], axes: [axis, { ...axis, size: 56 }], legend: { live: true }, cursor: { drag: { x: true, y: false } }, scales: { x: { range: (_, first, last) => [first ?? 0, Math.max(last ?? 0, (first ?? 0) + 60)] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, high ?? 1)] } } }, [[], ...lines.map(() => [])], element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: Math.max(260, element.clientWidth), height: 200 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names]);
  useEffect(() => {
    plot.current?.setData([times.map((at) => at / 1000), ...series.map((one) => one.values)]);
  });
  const newest = series.map((one) => `${one.label} ${one.values.at(-1) ?? "unknown"}`).join(", ");
  return (
    <Container header={<Header variant="h2" description={description}>{title}</Header>}>
      <div className="chart" ref={box} role="img" aria-label={`${title}: now ${newest}`} />
    </Container>
  );
}
