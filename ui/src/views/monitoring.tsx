// The environment's CloudWatch metrics, as an SDK reads them.

import Alert from "@cloudscape-design/components/alert";
import ColumnLayout from "@cloudscape-design/components/column-layout";
import Header from "@cloudscape-design/components/header";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import TextFilter from "@cloudscape-design/components/text-filter";
import Pagination from "@cloudscape-design/components/pagination";
import { useState } from "react";
import type { PageProps } from "../app";
import { target } from "../api";
import { useLive } from "../live";
import { Chart } from "../parts/chart";
import { Nothing } from "../parts/bits";
import { Waiting } from "../parts/waiting";

interface Metric {
  Namespace: string;
  MetricName: string;
  Dimensions?: { Name: string; Value: string }[];
}

interface Result {
  Id: string;
  Timestamps: number[];
  Values: number[];
}

const TARGET = "GraniteServiceVersion20100801";
const PAGE = 8;

const title = (metric: Metric) => {
  const rest = (metric.Dimensions ?? []).filter((one) => !["Environment", "Function"].includes(one.Name)).map((one) => one.Value);
  const where = (metric.Dimensions ?? []).find((one) => one.Name === "Function")?.Value;
  return [metric.MetricName, ...rest, where ? `(${where})` : ""].filter(Boolean).join(" ");
};

export default function Monitoring({ name }: PageProps) {
  const [span, setSpan] = useState("60");
  const [find, setFind] = useState("");
  const [page, setPage] = useState(1);
  const metrics = useLive((signal) => allMetrics(name, signal), [name], undefined, 60_000);
  const found = (metrics.data ?? []).filter((one) => title(one).toLowerCase().includes(find.toLowerCase())).sort((one, other) => (title(one) < title(other) ? -1 : 1));
  const shown = found.slice((page - 1) * PAGE, page * PAGE);
  const values = useLive((signal) => points(shown, Number(span), signal), [shown.map(title), span], undefined, 10_000);
  if (metrics.loading) return <Waiting />;
  return (
    <SpaceBetween size="l">
      <Header variant="h1" counter={`(${found.length})`} description="Airflow's metrics as MWAA publishes them, read from the CloudWatch endpoint." actions={<SegmentedControl label="Span" selectedId={span} onChange={({ detail }) => setSpan(detail.selectedId)} options={[{ id: "15", text: "15 min" }, { id: "60", text: "1 h" }, { id: "360", text: "6 h" }]} />}>Monitoring</Header>
      {metrics.error && <Alert type="error" header="Metrics cannot be listed">{metrics.error.message}</Alert>}
      <SpaceBetween direction="horizontal" size="s">
        <TextFilter filteringText={find} filteringPlaceholder="Find metrics" filteringAriaLabel="Find metrics" onChange={({ detail }) => { setFind(detail.filteringText); setPage(1); }} />
        <Pagination currentPageIndex={page} pagesCount={Math.max(1, Math.ceil(found.length / PAGE))} onChange={({ detail }) => setPage(detail.currentPageIndex)} />
      </SpaceBetween>
      {!metrics.error && found.length === 0 && <Nothing title="No metrics yet">Airflow sends its first within a minute of a start.</Nothing>}
      <ColumnLayout columns={2}>
        {shown.map((metric, at) => {
          const result = values.data?.find((one) => one.Id === `m${at}`);
          const order = (result?.Timestamps ?? []).map((time, index) => [time * 1000, result?.Values[index] ?? 0] as const).sort((one, other) => one[0] - other[0]);
          return <Chart key={title(metric)} title={metric.MetricName} description={title(metric).slice(metric.MetricName.length) || metric.Namespace} times={order.map(([time]) => time)} series={[{ label: "average", values: order.map(([, value]) => value), color: "#0972d3" }]} />;
        })}
      </ColumnLayout>
    </SpaceBetween>
  );
}

async function allMetrics(name: string, signal: AbortSignal): Promise<Metric[]> {
  const found: Metric[] = [];
  let NextToken: string | undefined;
  do {
    const page: { Metrics?: Metric[]; NextToken?: string } = await target("monitoring", `${TARGET}.ListMetrics`, { NextToken }, signal);
    found.push(...(page.Metrics ?? []).filter((one) => one.Namespace.startsWith("AmazonMWAA") || one.Namespace === "AWS/MWAA").filter((one) => (one.Dimensions ?? []).some((dimension) => dimension.Value === name)));
    NextToken = page.NextToken;
  } while (NextToken);
  return found;
}

async function points(metrics: Metric[], minutes: number, signal: AbortSignal): Promise<Result[]> {
  if (metrics.length === 0) return [];
  const end = Date.now() / 1000;
  const body = { StartTime: end - minutes * 60, EndTime: end, MetricDataQueries: metrics.map((Metric, at) => ({ Id: `m${at}`, MetricStat: { Metric, Period: 60, Stat: "Average" } })) };
  return (await target<{ MetricDataResults: Result[] }>("monitoring", `${TARGET}.GetMetricData`, body, signal)).MetricDataResults;
}
