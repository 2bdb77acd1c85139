// Every save → S3 version → parse → run, with times, on one axis.

import Box from "@cloudscape-design/components/box";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useEffect, useMemo, useRef, useState } from "react";
import type { PageProps } from "../app";
import { Airflow, type Run } from "../airflow";
import { get } from "../api";
import { clock, duration, moment } from "../format";
import { useLive } from "../live";
import { Nothing, Status, To, Trouble } from "../parts/bits";
import { Waiting } from "../parts/waiting";
import type { JournalEvent } from "../wire";

interface Mark {
  lane: string;
  kind: "version" | "parsed" | "broken" | "deleted" | "run";
  from: number;
  to: number;
  words: string;
  state?: string;
  href?: string;
}

const SPANS: Record<string, number> = { "5": 5, "30": 30, "180": 180, "1440": 1440 };
const COLORS: Record<string, string> = { version: "#0972d3", parsed: "#2ea043", broken: "#d13212", deleted: "#7d8998", success: "#2ea043", failed: "#d13212", running: "#0972d3", queued: "#9ba7b6" };

export default function Timeline({ name, overview }: PageProps) {
  const status = overview?.environments.find((one) => one.name === name);
  const [span, setSpan] = useState("5");
  const version = status?.airflow_version ?? "2";
  const bucket = status?.bucket ?? "";
  const airflow = useMemo(() => new Airflow(name, version), [name, version]);
  const events = useLive((signal) => get<JournalEvent[]>("journal?count=3000", signal), [], (event) => ["ObjectWritten", "ObjectDeleted", "DagParsed"].includes(event.type));
  const runs = useLive((signal) => airflow.runs(null, signal), [name, version], (event) => event.type === "DagParsed", (runs) => (runs?.some((run) => ["running", "queued"].includes(run.state)) ? 2000 : 10_000));
  if (!status || events.loading) return <Waiting />;
  const now = Date.now();
  const since = now - (SPANS[span] ?? 30) * 60_000;
  const marks = [...fromEvents(events.data ?? [], name, bucket), ...fromRuns(runs.data ?? [], events.data ?? [], name)].filter((mark) => mark.to >= since).sort((one, other) => other.from - one.from);
  return (
    <SpaceBetween size="l">
      <Trouble error={events.error ?? runs.error} what="Not everything can be shown" />
      <Container header={<Header variant="h1" description="Saves, what Airflow made of them, and runs." actions={<SegmentedControl label="Span" selectedId={span} onChange={({ detail }) => setSpan(detail.selectedId)} options={[{ id: "5", text: "5 min" }, { id: "30", text: "30 min" }, { id: "180", text: "3 h" }, { id: "1440", text: "1 day" }]} />}>Timeline</Header>}>
        {marks.length === 0 ? <Nothing title="Nothing happened in this time">Save a DAG and it is here.</Nothing> : <Axis marks={marks} since={since} now={now} />}
      </Container>
      <Table
        header={<Header variant="h2" counter={`(${marks.length})`}>What happened</Header>}
        items={marks.slice(0, 100)}
        empty={<Nothing title="Nothing" />}
        columnDefinitions={[
          { id: "at", header: "At", cell: (mark) => moment(mark.from) },
          { id: "what", header: "What", cell: (mark) => <Status of={mark.kind === "run" ? (mark.state ?? "run") : mark.kind === "broken" ? "failed" : mark.kind === "parsed" ? "success" : mark.kind} /> },
          { id: "where", header: "File or DAG", cell: (mark) => (mark.href ? <To href={mark.href}>{mark.lane}</To> : mark.lane), isRowHeader: true },
          { id: "words", header: "Details", cell: (mark) => <Box fontSize="body-s">{mark.words.length > 160 ? `${mark.words.slice(0, 160)}…` : mark.words}</Box> },
        ]}
      />
    </SpaceBetween>
  );
}

function fromEvents(events: JournalEvent[], name: string, bucket: string): Mark[] {
  const marks: Mark[] = [];
  for (const event of events) {
    const [at, key] = [event.at ?? 0, event.key ?? ""];
    const href = `/environments/${encodeURIComponent(name)}/code?key=${encodeURIComponent(key)}`;
    if (event.type === "ObjectWritten" && event.bucket === bucket) marks.push({ lane: key, kind: "version", from: at, to: at, words: `saved as version ${event.version ?? ""}`, href });
    if (event.type === "ObjectDeleted" && event.bucket === bucket) marks.push({ lane: key, kind: "deleted", from: at, to: at, words: "deleted" });
    if (event.type === "DagParsed" && event.environment === name) {
      const took = event.tookMs ?? 0;
      const words = event.error ?? `in Airflow after ${duration(took)}: ${event.dagIds?.join(", ") || "no DAG"}`;
      marks.push({ lane: key, kind: event.error ? "broken" : "parsed", from: at - Math.max(0, took), to: at, words, href });
    }
  }
  return marks;
}

/** A run stands in the lane of the file that its DAG was last read from. */
function fromRuns(runs: Run[], events: JournalEvent[], name: string): Mark[] {
  const files = new Map<string, string>();
  for (const event of events) for (const id of event.dagIds ?? []) files.set(id, event.key ?? "");
  return runs.flatMap((run): Mark[] => {
    if (!run.start) return [];
    const from = new Date(run.start).getTime();
    const to = run.end ? new Date(run.end).getTime() : Date.now();
    const href = `/environments/${encodeURIComponent(name)}/dags/${encodeURIComponent(run.dag)}/${encodeURIComponent(run.id)}`;
    return [{ lane: files.get(run.dag) ?? run.dag, kind: "run", from, to, words: `${run.dag}: ${run.id}, ${run.state} after ${duration(to - from)}`, state: run.state, href }];
  });
}

const LANE = 26;
const LANES = 25;

function Axis({ marks, since, now }: { marks: Mark[]; since: number; now: number }) {
  const lanes = [...new Set(marks.map((mark) => mark.lane))].slice(0, LANES);
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(900);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(Math.max(280, element.clientWidth)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const left = width < 600 ? 110 : 230;
  const letters = width < 600 ? 15 : 32;
  const x = (at: number) => left + ((Math.max(since, at) - since) / (now - since)) * (width - left - 10);
  const height = lanes.length * LANE + 28;
  const count = width < 600 ? 3 : 7;
  const ticks = Array.from({ length: count }, (_, at) => since + ((now - since) * at) / (count - 1));
  return (
    <div className="timeline" ref={box}>
      <svg width={width} height={height} role="img" aria-label={`${marks.length} events of ${lanes.length} files`}>
        {ticks.map((tick, at) => <g key={at}><line x1={x(tick)} x2={x(tick)} y1={18} y2={height} stroke="currentColor" strokeOpacity={0.15} /><text x={x(tick)} y={12} textAnchor={at === count - 1 ? "end" : "middle"}>{clock(tick)}</text></g>)}
        {lanes.map((lane, row) => <text key={lane} x={0} y={row * LANE + 40}>{lane.length > letters ? `…${lane.slice(1 - letters)}` : lane}</text>)}
        {marks.map((mark, at) => {
          const row = lanes.indexOf(mark.lane);
          if (row < 0) return null;
          const y = row * LANE + 24;
          const color = COLORS[mark.kind === "run" ? (mark.state ?? "") : mark.kind] ?? "#7d8998";
          const title = <title>{`${clock(mark.from)} ${mark.words}`}</title>;
          if (mark.kind === "run") return <rect key={at} x={x(mark.from)} y={y + 10} height={10} rx={3} width={Math.max(3, x(mark.to) - x(mark.from))} fill={color}>{title}</rect>;
          if (mark.kind === "version" || mark.kind === "deleted") return <path key={at} d={`M${x(mark.from)} ${y} l5 5 l-5 5 l-5 -5 z`} fill={color}>{title}</path>;
          return <rect key={at} x={x(mark.from)} y={y + 2} height={6} rx={2} width={Math.max(4, x(mark.to) - x(mark.from))} fill={color}>{title}</rect>;
        })}
      </svg>
      <Box color="text-body-secondary" fontSize="body-s">◆ a saved version, a short bar how long Airflow took to know it (red: it does not import), a long bar a run.</Box>
    </div>
  );
}
