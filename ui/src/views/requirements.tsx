// What the project asked for, what was installed, and what the installer said.

import Alert from "@cloudscape-design/components/alert";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import Pagination from "@cloudscape-design/components/pagination";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import { useState } from "react";
import { about, type PageProps } from "../app";
import { call, mwaa, objectText } from "../api";
import { duration } from "../format";
import { useLive } from "../live";
import { Nothing, Plain, Source, Status, To, Trouble } from "../parts/bits";
import { Waiting } from "../parts/waiting";

const PAGE = 15;

interface Installed {
  name: string;
  version: string;
  asked: boolean;
}

/** `name==1`, `Name[extra] >= 2 ; marker` → `name`. */
export function requirementName(line: string): string {
  const bare = line.split("#")[0]?.trim() ?? "";
  if (!bare || bare.startsWith("-")) return "";
  return (/^[A-Za-z0-9][A-Za-z0-9._-]*/.exec(bare)?.[0] ?? "").toLowerCase().replace(/[._-]+/g, "-");
}

export default function Requirements({ name, overview }: PageProps) {
  const [find, setFind] = useState("");
  const [page, setPage] = useState(1);
  const it = useLive((signal) => mwaa.get(name, signal), [name], about);
  const bucket = it.data?.SourceBucketArn.split(":").pop() ?? "";
  const path = it.data?.RequirementsS3Path;
  const text = useLive(() => (path ? objectText(bucket, path, it.data?.RequirementsS3ObjectVersion) : Promise.resolve("")), [bucket, path ?? "", it.data?.RequirementsS3ObjectVersion ?? ""]);
  const log = useLive(() => noted(name), [name], about);
  const launch = overview?.environments.find((one) => one.name === name)?.launch ?? [];
  const steps = launch.filter((step) => ["requirements", "install Airflow"].includes(step.stage));
  if (!it.data) return it.error ? <Trouble error={it.error} what="The environment cannot be shown" /> : <Waiting />;
  const wanted = new Set((text.data ?? "").split("\n").map(requirementName).filter(Boolean));
  const rows: Installed[] = resolved(log.data ?? "").map((one) => ({ ...one, asked: wanted.has(one.name.toLowerCase().replace(/[._-]+/g, "-")) }));
  const shown = rows.filter((one) => one.name.toLowerCase().includes(find.toLowerCase())).sort((one, other) => Number(other.asked) - Number(one.asked) || (one.name.toLowerCase() < other.name.toLowerCase() ? -1 : 1));
  const conflict = resolved(log.data ?? "").length === 0 && (log.data ?? "").startsWith("# cannot") ? log.data : "";
  const problem = it.data.LastUpdate?.Error?.ErrorMessage;
  return (
    <SpaceBetween size="l">
      <Header variant="h1">Requirements</Header>
      {problem && /requirement/i.test(problem) && <Alert type="error" header="They could not be installed">{problem}</Alert>}
      <Container header={<Header variant="h2" description={path ? <To href={`/s3/${bucket}?key=${encodeURIComponent(path)}`}>{path}</To> : undefined}>What was asked for</Header>}>
        <Trouble error={text.error} what="The file cannot be read" />
        {path ? text.data !== undefined && <Source text={text.data} label="Requirements file" /> : <Nothing title="No requirements file">A file requirements/requirements.txt in the project is taken at the next start.</Nothing>}
      </Container>
      <Table
        variant="container"
        items={shown.slice((page - 1) * PAGE, page * PAGE)}
        loading={log.loading}
        loadingText="Loading"
        header={<Header variant="h2" counter={`(${shown.length})`} description="The whole set that agrees with Airflow's constraints; what was asked for comes first.">What was resolved</Header>}
        pagination={<Pagination currentPageIndex={page} pagesCount={Math.max(1, Math.ceil(shown.length / PAGE))} onChange={({ detail }) => setPage(detail.currentPageIndex)} />}
        filter={<TextFilter filteringText={find} filteringPlaceholder="Find packages" filteringAriaLabel="Find packages" onChange={({ detail }) => { setFind(detail.filteringText); setPage(1); }} />}
        empty={<Nothing title={find ? "No package has that name" : "Nothing beside Airflow"} />}
        columnDefinitions={[
          { id: "name", header: "Package", cell: (one) => one.name, isRowHeader: true },
          { id: "version", header: "Version", cell: (one) => one.version },
          { id: "asked", header: "Asked for", cell: (one) => (one.asked ? <Status of="success" /> : "–") },
        ]}
      />
      <Container header={<Header variant="h2">Install log</Header>}>
        {conflict && <Plain label="The installer's words" text={conflict} />}
        {steps.length === 0 ? <Nothing title="Nothing was launched since windtunnel started" /> : (
          <Plain label="Install log" text={steps.map((step) => [`${step.stage}: ${step.took_ms === null ? "under way" : `${duration(step.took_ms)}${step.cached ? ", cached" : ""}`}`, ...step.lines.map((line) => `  ${line}`)].join("\n")).join("\n")} />
        )}
      </Container>
    </SpaceBetween>
  );
}

async function noted(name: string): Promise<string> {
  try {
    return await (await call("GET", `environments/${encodeURIComponent(name)}/log-file?name=requirements.log`)).text();
  } catch {
    // Nothing was launched yet, so nothing was resolved.
    return "";
  }
}

/** The lines `name==version` of what was resolved. */
export function resolved(text: string): { name: string; version: string }[] {
  return text.split("\n").flatMap((line) => {
    const found = /^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)/.exec(line);
    return found?.[1] && found[2] ? [{ name: found[1], version: found[2] }] : [];
  });
}
