// Tags of an environment, through MWAA's own tagging API.

import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import Input from "@cloudscape-design/components/input";
import SpaceBetween from "@cloudscape-design/components/space-between";
import FormField from "@cloudscape-design/components/form-field";
import Table from "@cloudscape-design/components/table";
import { useState } from "react";
import { about, type PageProps } from "../app";
import { mwaa } from "../api";
import { useLive } from "../live";
import { Nothing, Trouble } from "../parts/bits";
import { attempt } from "../parts/notices";
import { Waiting } from "../parts/waiting";

export default function Tags({ name }: PageProps) {
  const it = useLive((signal) => mwaa.get(name, signal), [name], about);
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const environment = it.data;
  if (!environment) return it.error ? <Trouble error={it.error} what="The environment cannot be shown" /> : <Waiting />;
  const add = async () => {
    if (await attempt(`Tag ${key} is set`, () => mwaa.tag(environment.Arn, { [key]: value }))) {
      setKey("");
      setValue("");
    }
    it.reload();
  };
  const remove = (gone: string) => attempt(`Tag ${gone} is gone`, () => mwaa.untag(environment.Arn, [gone])).then(it.reload);
  const tags = Object.entries(environment.Tags ?? {});
  return (
    <SpaceBetween size="l">
      <Table
        variant="container"
        items={tags}
        header={<Header variant="h1" counter={`(${tags.length})`}>Tags</Header>}
        empty={<Nothing title="No tags">MWAA keeps up to 50.</Nothing>}
        columnDefinitions={[
          { id: "key", header: "Key", cell: ([name]) => name, isRowHeader: true },
          { id: "value", header: "Value", cell: ([, text]) => text },
          { id: "remove", header: "Remove", cell: ([name]) => <Button variant="inline-link" ariaLabel={`Remove tag ${name}`} onClick={() => void remove(name)}>Remove</Button> },
        ]}
      />
      <SpaceBetween direction="horizontal" size="s" alignItems="end">
        <FormField label="Key"><Input value={key} onChange={({ detail }) => setKey(detail.value)} /></FormField>
        <FormField label="Value"><Input value={value} onChange={({ detail }) => setValue(detail.value)} /></FormField>
        <Button onClick={() => void add()} disabled={!key}>Set tag</Button>
      </SpaceBetween>
    </SpaceBetween>
  );
}
