// Starts a run of a DAG, with a configuration.

import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Textarea from "@cloudscape-design/components/textarea";
import { useState } from "react";
import type { Airflow } from "../airflow";
import { attempt } from "./notices";

export function Trigger({ airflow, dag, close, done }: { airflow: Airflow; dag: string; close: () => void; done: () => void }) {
  const [conf, setConf] = useState("{}");
  let wrong = "";
  let value: unknown = {};
  try {
    value = JSON.parse(conf || "{}");
    if (typeof value !== "object" || value === null || Array.isArray(value)) wrong = "The configuration is an object: {…}";
  } catch (error) {
    wrong = (error as Error).message;
  }
  const go = async () => {
    close();
    if (await attempt(`${dag} was triggered`, () => airflow.trigger(dag, value))) done();
  };
  return (
    <Modal
      visible
      onDismiss={close}
      header={`Trigger ${dag}`}
      closeAriaLabel="Close"
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={close}>Cancel</Button>
            <Button variant="primary" disabled={wrong !== ""} onClick={() => void go()}>Trigger</Button>
          </SpaceBetween>
        </Box>
      }
    >
      <FormField label="Configuration" description="JSON; tasks read it as dag_run.conf." errorText={wrong}>
        <Textarea value={conf} onChange={({ detail }) => setConf(detail.value)} rows={6} spellcheck={false} />
      </FormField>
    </Modal>
  );
}
