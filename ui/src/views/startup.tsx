// The startup script and what it printed, per kind of container.

import Alert from "@cloudscape-design/components/alert";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import { about, type PageProps } from "../app";
import { call, get, mwaa, objectText, query } from "../api";
import { useLive } from "../live";
import { Nothing, Plain, Source, To, Trouble } from "../parts/bits";
import { Waiting } from "../parts/waiting";

export default function Startup({ name }: PageProps) {
  const own = `environments/${encodeURIComponent(name)}`;
  const it = useLive((signal) => mwaa.get(name, signal), [name], about);
  const bucket = it.data?.SourceBucketArn.split(":").pop() ?? "";
  const path = it.data?.StartupScriptS3Path;
  const text = useLive(() => (path ? objectText(bucket, path, it.data?.StartupScriptS3ObjectVersion) : Promise.resolve("")), [bucket, path ?? "", it.data?.StartupScriptS3ObjectVersion ?? ""]);
  const outputs = useLive(async (signal) => {
    const files = (await get<{ name: string }[]>(`${own}/log-files`, signal)).filter((file) => file.name.startsWith("startup_"));
    return Promise.all(files.map(async (file) => ({ name: file.name.replace(/^startup_|\.log$/g, ""), text: await (await call("GET", `${own}/log-file?${query({ name: file.name })}`, { signal })).text() })));
  }, [name], about);
  if (!it.data) return it.error ? <Trouble error={it.error} what="The environment cannot be shown" /> : <Waiting />;
  const problem = it.data.LastUpdate?.Error?.ErrorMessage;
  return (
    <SpaceBetween size="l">
      <Header variant="h1">Startup script</Header>
      {problem && /startup/i.test(problem) && <Alert type="error" header="It failed">{problem}</Alert>}
      <Container header={<Header variant="h2" description={path ? <To href={`/s3/${bucket}?key=${encodeURIComponent(path)}`}>{path}</To> : undefined}>Script</Header>}>
        <Trouble error={text.error} what="The script cannot be read" />
        {path ? text.data !== undefined && <Source text={text.data} label="Startup script" /> : <Nothing title="The project has none">A file startup_script/startup.sh is run by every kind of container at its start.</Nothing>}
      </Container>
      {outputs.data && outputs.data.length > 0 && (
        <Container header={<Header variant="h2" description="As each kind of container ran it.">Output</Header>}>
          <Tabs ariaLabel="Containers" tabs={outputs.data.map((one) => ({ id: one.name, label: one.name, content: <Plain label={`Output of the ${one.name}'s startup script`} text={one.text || "(it printed nothing)"} /> }))} />
        </Container>
      )}
    </SpaceBetween>
  );
}
