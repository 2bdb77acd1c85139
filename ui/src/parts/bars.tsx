// The last runs of a DAG as small bars, the newest at the right; as high as they took long.

import { useLocation } from "wouter";
import type { Run } from "../airflow";
import { duration, moment } from "../format";

export function Bars({ runs, name, most = 14 }: { runs: Run[]; name: string; most?: number }) {
  const [, go] = useLocation();
  const shown = runs.slice(0, most).reverse();
  if (shown.length === 0) return <>none yet</>;
  const took = (run: Run) => (run.start ? new Date(run.end ?? Date.now()).getTime() - new Date(run.start).getTime() : 0);
  const longest = Math.max(...shown.map(took), 1);
  return (
    <span className="bars">
      {shown.map((run) => {
        const words = `${run.state}, ${moment(run.start ?? run.logical)}, ${duration(Math.max(0, took(run)))}`;
        const path = `/environments/${encodeURIComponent(name)}/dags/${encodeURIComponent(run.dag)}/${encodeURIComponent(run.id)}`;
        return <button key={run.id} type="button" className={run.state} title={words} aria-label={`Run ${words}`} style={{ height: `${Math.round(6 + 18 * (took(run) / longest))}px` }} onClick={() => go(path)} />;
      })}
    </span>
  );
}
