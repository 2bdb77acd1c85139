// The environment's CloudWatch log groups, live and searchable; and what each process printed.

import Box from "@cloudscape-design/components/box";
import Header from "@cloudscape-design/components/header";
import Container from "@cloudscape-design/components/container";
import Alert from "@cloudscape-design/components/alert";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import Input from "@cloudscape-design/components/input";
import Toggle from "@cloudscape-design/components/toggle";
import { useEffect, useState } from "react";
import type { PageProps } from "../app";
import { call, get, query, target } from "../api";
import { bytes } from "../format";
import { useLive } from "../live";
import { Nothing, Trouble } from "../parts/bits";
import { LogLines, type LogLine } from "../parts/loglines";

const GROUPS = ["Task", "Scheduler", "DAGProcessing", "Worker", "WebServer"];

export default function Logs({ name }: PageProps) {
  const wanted = new URLSearchParams(location.search).get("group");
  const [tab, setTab] = useState(wanted && GROUPS.includes(wanted) ? wanted : "Task");
  const tabs = GROUPS.map((group) => ({ id: group, label: group, content: <Group key={group} group={`airflow-${name}-${group}`} /> }));
  return (
    <SpaceBetween size="l">
      <Header variant="h1" description="What an SDK reads from CloudWatch Logs, as it comes.">Logs</Header>
      <Tabs ariaLabel="Log groups" activeTabId={tab} onChange={({ detail }) => setTab(detail.activeTabId)} tabs={[...tabs, { id: "files", label: "Processes", content: <Files name={name} /> }]} />
    </SpaceBetween>
  );
}

interface Event {
  eventId: string;
  timestamp: number;
  message: string;
  logStreamName: string;
}

/** Events that are kept in the page. */
const KEPT = 100_000;

/** All events of a group, or of one stream, that match; more as they come. */
function useEvents(group: string, stream: string, pattern: string, live: boolean): { lines: LogLine[]; error: Error | undefined; loading: boolean } {
  const [state, setState] = useState<{ lines: LogLine[]; error?: Error; loading: boolean }>({ lines: [], loading: true });
  const bell = useLive(async () => Date.now(), [group, stream], (event) => event.type === "LogsAppended" && event.group === group);
  const turn = live ? bell.data : 0;
  const [place] = useState(() => ({ since: 0, seen: new Set<string>(), asked: "" }));
  useEffect(() => {
    const abort = new AbortController();
    const asked = `${group} ${stream} ${pattern}`;
    const fresh = place.asked !== asked;
    if (fresh) Object.assign(place, { since: 0, seen: new Set<string>(), asked });
    const look = async () => {
      const added: LogLine[] = [];
      let nextToken: string | undefined;
      do {
        const body = { logGroupName: group, startTime: place.since, nextToken, ...(stream ? { logStreamNames: [stream] } : {}), ...(pattern ? { filterPattern: `"${pattern.replace(/"/g, "")}"` } : {}) };
        const page = await target<{ events: Event[]; nextToken?: string }>("logs", "Logs_20140328.FilterLogEvents", body, abort.signal);
        for (const event of page.events) {
          if (place.seen.has(event.eventId)) continue;
          if (event.timestamp > place.since) {
            place.since = event.timestamp;
          }
          place.seen.add(event.eventId);
          added.push({ text: event.message.replace(/\n$/, ""), at: event.timestamp, from: stream ? "" : event.logStreamName.split("/").slice(-2).join("/") });
        }
        nextToken = page.nextToken;
      } while (nextToken && added.length < KEPT);
      const lines = added.flatMap((line) => line.text.split("\n").map((text, at) => (at === 0 ? { ...line, text } : { text })));
      setState((before) => ({ lines: fresh ? lines : [...before.lines, ...lines].slice(-KEPT), loading: false }));
    };
    look().catch((error: Error) => {
      if (!abort.signal.aborted) setState((before) => ({ lines: fresh ? [] : before.lines, error, loading: false }));
    });
    return () => abort.abort();
  }, [group, stream, pattern, turn, place]);
  return { ...state, error: state.error };
}

function Group({ group }: { group: string }) {
  const search = new URLSearchParams(location.search);
  const [stream, setStream] = useState(search.get("stream") ?? "");
  const [find, setFind] = useState(search.get("find") ?? "");
  const [pattern, setPattern] = useState(find);
  const [live, setLive] = useState(true);
  useEffect(() => {
    const timer = window.setTimeout(() => setPattern(find), 300);
    return () => window.clearTimeout(timer);
  }, [find]);
  const streams = useLive((signal) => target<{ logStreams: { logStreamName: string }[] }>("logs", "Logs_20140328.DescribeLogStreams", { logGroupName: group, orderBy: "LastEventTime", descending: true, limit: 50 }, signal), [group], (event) => event.type === "LogsAppended" && event.group === group);
  const events = useEvents(group, stream, pattern, live);
  const missing = (streams.error as { code?: string } | undefined)?.code?.includes("ResourceNotFound");
  if (missing) return <Nothing title={`There is no log group ${group}`}>Its module's logging is off, or nothing was written yet.</Nothing>;
  const options = [{ value: "", label: "All streams" }, ...(streams.data?.logStreams ?? []).map((one) => ({ value: one.logStreamName, label: one.logStreamName }))];
  return (
    <SpaceBetween size="s">
      <SpaceBetween direction="horizontal" size="s" alignItems="center">
        <Select selectedOption={options.find((one) => one.value === stream) ?? { value: stream, label: stream }} options={options} onChange={({ detail }) => setStream(detail.selectedOption.value ?? "")} ariaLabel="Log stream" filteringType="auto" expandToViewport />
        <Input type="search" value={find} onChange={({ detail }) => setFind(detail.value)} placeholder="Find words" ariaLabel="Find in the log" clearAriaLabel="Clear" />
        <Toggle checked={live} onChange={({ detail }) => setLive(detail.checked)}>Live</Toggle>
      </SpaceBetween>
      {events.error && <Alert type="error" header="The log cannot be read">{events.error.message}</Alert>}
      <LogLines lines={events.lines} find={pattern} follow={live} label={`Events of ${group}`} />
      <Box color="text-body-secondary" fontSize="body-s">aws logs tail {group} --follow</Box>
    </SpaceBetween>
  );
}

function Files({ name }: { name: string }) {
  const own = `environments/${encodeURIComponent(name)}`;
  const files = useLive((signal) => get<{ name: string; size_bytes: number }[]>(`${own}/log-files`, signal), [name], undefined, 10_000);
  const [chosen, setChosen] = useState("");
  const [find, setFind] = useState("");
  const file = chosen || files.data?.find((one) => one.name === "scheduler.log")?.name || files.data?.[0]?.name || "";
  const text = useLive(async (signal) => (file ? (await call("GET", `${own}/log-file?${query({ name: file })}`, { signal })).text() : ""), [name, file], undefined, 2000);
  const lines = (text.data ?? "").split("\n").filter((line) => !find || line.toLowerCase().includes(find.toLowerCase()));
  return (
    <Container>
      <SpaceBetween size="s">
        <Trouble error={files.error ?? text.error} what="The log cannot be read" />
        <SpaceBetween direction="horizontal" size="s" alignItems="center">
          <Select selectedOption={file ? { value: file, label: file } : null} options={(files.data ?? []).map((one) => ({ value: one.name, label: one.name, description: bytes(one.size_bytes) }))} onChange={({ detail }) => setChosen(detail.selectedOption.value ?? "")} ariaLabel="Log file" empty="No process has printed anything" expandToViewport />
          <Input type="search" value={find} onChange={({ detail }) => setFind(detail.value)} placeholder="Find words" ariaLabel="Find in the file" clearAriaLabel="Clear" />
        </SpaceBetween>
        <LogLines lines={lines.map((line) => ({ text: line }))} find={find} follow label={`End of ${file}`} />
      </SpaceBetween>
    </Container>
  );
}
