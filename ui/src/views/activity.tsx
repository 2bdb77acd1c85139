// Every call of the AWS endpoint, as it comes: the fastest way to see why a client fails.

import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Container from "@cloudscape-design/components/container";
import Pagination from "@cloudscape-design/components/pagination";
import KeyValuePairs from "@cloudscape-design/components/key-value-pairs";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Table from "@cloudscape-design/components/table";
import Tabs from "@cloudscape-design/components/tabs";
import TextFilter from "@cloudscape-design/components/text-filter";
import Toggle from "@cloudscape-design/components/toggle";
import { useEffect, useState } from "react";
import { get } from "../api";
import { clock, moment, pretty } from "../format";
import { useLive } from "../live";
import { Copy, Nothing, Plain, Trouble } from "../parts/bits";
import type { CallLine, CallTold } from "../wire";

const KEPT = 5000;
const PAGE = 30;

const milliseconds = (micros: number) => (micros < 10_000 ? `${(micros / 1000).toFixed(1)} ms` : `${Math.round(micros / 1000)} ms`);

/** The calls since the first look, the newest first. Each look waits until there is something to tell. */
function useCalls(live: boolean): { calls: CallLine[]; error: Error | undefined; clear: () => void } {
  const [calls, setCalls] = useState<CallLine[]>([]);
  const [error, setError] = useState<Error>();
  useEffect(() => {
    const abort = new AbortController();
    const follow = async () => {
      let after = 0;
      let wait = "";
      while (!abort.signal.aborted) {
        try {
          const more = await get<CallLine[]>(`activity?after=${after}${wait}`, abort.signal);
          setError(undefined);
          const last = more.at(-1);
          if (last) {
            const fresh = after === 0;
            after = last.seq;
            setCalls((before) => [...[...more].reverse(), ...(fresh ? [] : before)].slice(0, KEPT));
          }
          wait = "&wait=1";
        } catch (caught) {
          if (abort.signal.aborted) return;
          setError(caught as Error);
          await new Promise((resume) => window.setTimeout(resume, 2000));
          after = 0;
          wait = "";
        }
      }
    };
    if (live) void follow();
    return () => abort.abort();
  }, [live]);
  return { calls, error, clear: () => setCalls([]) };
}

export default function Activity() {
  const [live, setLive] = useState(true);
  const { calls, error, clear } = useCalls(live);
  const [find, setFind] = useState(() => new URLSearchParams(location.search).get("find") ?? "");
  const [service, setService] = useState(() => new URLSearchParams(location.search).get("service") ?? "clients");
  const [failures, setFailures] = useState(false);
  const [chosen, setChosen] = useState<number | null>(null);
  const [page, setPage] = useState(1);
  const words = find.toLowerCase().split(" ").filter(Boolean);
  const shown = calls.filter((one) => {
    // Celery asks its queue all day, and these pages ask MWAA; that is rarely what one looks for.
    if (service === "clients" && (one.service === "sqs" || fromHere(one.agent))) return false;
    if (!["clients", "all"].includes(service) && one.service !== service) return false;
    if (failures && one.status < 400) return false;
    const text = `${one.operation} ${one.method} ${one.path} ${one.status} ${one.agent} ${one.access_key_id} ${one.request_id}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <SpaceBetween size="l">
      <Trouble error={error} what="Calls cannot be listed" />
      <Table
        variant="container"
        wrapLines
        items={shown.slice((page - 1) * PAGE, page * PAGE)}
        trackBy="seq"
        selectionType="single"
        selectedItems={shown.filter((one) => one.seq === chosen)}
        onSelectionChange={({ detail }) => setChosen(detail.selectedItems[0]?.seq ?? null)}
        onRowClick={({ detail }) => setChosen(detail.item.seq)}
        ariaLabels={{ selectionGroupLabel: "Calls", itemSelectionLabel: (_, one) => `Show call ${one.seq}, ${one.operation}` }}
        header={<Header variant="h1" counter={`(${shown.length})`} description="What the AWS endpoint was asked since it started, the newest first. Secrets are blanked." actions={<SpaceBetween direction="horizontal" size="s" alignItems="center"><Toggle checked={live} onChange={({ detail }) => setLive(detail.checked)}>Live</Toggle><Button onClick={clear}>Clear</Button></SpaceBetween>}>Activity</Header>}
        filter={
          <SpaceBetween direction="horizontal" size="s" alignItems="center">
            <TextFilter filteringText={find} filteringPlaceholder="Operation, path, status, client" filteringAriaLabel="Find calls" onChange={({ detail }) => { setFind(detail.filteringText); setPage(1); }} />
            <SegmentedControl label="Service" selectedId={service} onChange={({ detail }) => { setService(detail.selectedId); setPage(1); }} options={[{ id: "clients", text: "Clients" }, { id: "airflow", text: "MWAA" }, { id: "s3", text: "S3" }, { id: "logs", text: "Logs" }, { id: "sqs", text: "SQS" }, { id: "all", text: "All" }]} />
            <Toggle checked={failures} onChange={({ detail }) => setFailures(detail.checked)}>Failures only</Toggle>
          </SpaceBetween>
        }
        pagination={<Pagination currentPageIndex={page} pagesCount={Math.max(1, Math.ceil(shown.length / PAGE))} onChange={({ detail }) => setPage(detail.currentPageIndex)} />}
        empty={<Nothing title="No calls yet">Point a client here: `eval "$(windtunnel env)"`, then `aws mwaa list-environments`.</Nothing>}
        columnDefinitions={[
          { id: "at", header: "Time", cell: (one) => clock(one.at) },
          { id: "status", header: "Status", cell: (one) => <StatusIndicator type={one.status < 400 ? "success" : "error"}>{one.status}</StatusIndicator> },
          { id: "service", header: "Service", cell: (one) => (one.service === "airflow" ? "mwaa" : one.service) },
          { id: "operation", header: "Operation", cell: (one) => one.operation, isRowHeader: true },
          { id: "path", header: "Path", minWidth: 260, cell: (one) => <span className="path">{one.method} {readable(one.path)}</span> },
          { id: "took", header: "Took", cell: (one) => <span className="nowrap">{milliseconds(one.micros)}</span> },
          { id: "agent", header: "Client", minWidth: 120, cell: (one) => <Box fontSize="body-s">{client(one.agent)}</Box> },
        ]}
      />
      {chosen !== null && <One key={chosen} seq={chosen} />}
    </SpaceBetween>
  );
}

const fromHere = (agent: string) => agent.startsWith("Mozilla");

function readable(path: string): string {
  let text = path;
  try {
    text = decodeURIComponent(path);
  } catch {
    // What a client sends need not be decodable; then it is shown as it came.
  }
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function client(agent: string): string {
  if (fromHere(agent)) return "this console";
  const known = /(aws-cli|Boto3|Botocore|aws-sdk-[a-z]+|curl|Terraform)\/?([\d.]*)/i.exec(agent);
  return known ? `${known[1]} ${known[2] ?? ""}` : agent.slice(0, 30);
}

function One({ seq }: { seq: number }) {
  const told = useLive((signal) => get<CallTold>(`activity/${seq}`, signal), [seq]);
  const it = told.data;
  if (!it) return <Trouble error={told.error} what="The call is no longer kept" />;
  const headers = (list: [string, string][]) => list.map(([name, value]) => `${name}: ${value}`).join("\n");
  const body = (text: string | null) => (text === null ? "(not kept: an object's bytes, or more than 64 kB)" : text === "" ? "(empty)" : pretty(text));
  return (
    <Container header={<Header variant="h2">{it.operation}</Header>}>
      <SpaceBetween size="m">
        <KeyValuePairs columns={4} items={[
          { label: "Answered", value: `${it.status} at ${moment(it.at)}` },
          { label: "Took", value: milliseconds(it.micros) },
          { label: "Access key", value: it.access_key_id || "none" },
          { label: "Request id", value: <Copy text={it.request_id} /> },
        ]} />
        <Tabs tabs={[
          { id: "response", label: "Response", content: <SpaceBetween size="xs"><Plain label="Response headers" text={headers(it.response_headers)} /><Plain label="Response body" text={body(it.response_body)} /></SpaceBetween> },
          { id: "request", label: "Request", content: <SpaceBetween size="xs"><Plain label="Request line and headers" text={`${it.method} ${it.path}\n${headers(it.request_headers)}`} /><Plain label="Request body" text={body(it.request_body)} /></SpaceBetween> },
        ]} />
      </SpaceBetween>
    </Container>
  );
}
