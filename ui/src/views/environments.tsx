// The list of environments; in an empty project, what to do next.

import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import { useLocation } from "wouter";
import { Plain, Status, To } from "../parts/bits";
import { OpenAirflow } from "../parts/open-airflow";
import { Stage } from "../parts/stage";
import { Waiting } from "../parts/waiting";
import type { EnvironmentStatus, Overview } from "../wire";

export default function Environments({ overview }: { overview: Overview | undefined }) {
  const [, go] = useLocation();
  if (!overview) return <Waiting />;
  if (overview.environments.length === 0) return <First />;
  const link = (environment: EnvironmentStatus) => `/environments/${encodeURIComponent(environment.name)}/details`;
  return (
    <Table
      variant="full-page"
      header={
        <Header variant="awsui-h1-sticky" counter={`(${overview.environments.length})`} description="Each is a real Apache Airflow on this machine." actions={<Button variant="primary" onClick={() => go("/create")}>Create environment</Button>}>
          Environments
        </Header>
      }
      items={overview.environments}
      trackBy="name"
      columnDefinitions={[
        { id: "name", header: "Name", cell: (one) => <To href={link(one)}>{one.name}</To>, isRowHeader: true },
        { id: "status", header: "Status", cell: (one) => <><Status of={one.status} /><Stage launch={one.launch} status={one.status} /></> },
        { id: "version", header: "Airflow version", cell: (one) => one.airflow_version },
        { id: "errors", header: "Import errors", cell: (one) => (one.import_errors.length ? <To href={`/environments/${encodeURIComponent(one.name)}/dags`}>{one.import_errors.length}</To> : "none") },
        { id: "bucket", header: "Bucket", cell: (one) => <To href={`/s3/${one.bucket}`}>{one.bucket}</To> },
        { id: "open", header: "Airflow UI", cell: (one) => <OpenAirflow name={one.name} usable={one.webserver_url !== null && ["AVAILABLE", "UPDATE_FAILED"].includes(one.status)} /> },
      ]}
    />
  );
}

function First() {
  const [, go] = useLocation();
  return (
    <Container header={<Header variant="h1" actions={<Button variant="primary" onClick={() => go("/create")}>Create environment</Button>}>Nothing runs here yet</Header>}>
      <SpaceBetween size="m">
        <Box variant="p">
          windtunnel serves S3, SQS and MWAA's API, and there is no environment. Make a project and start it, and Airflow runs
          within a minute:
        </Box>
        <Plain label="Commands for a new project" text={"windtunnel init my-project\ncd my-project\nwindtunnel up"} />
        <Box variant="p">
          Or fill a bucket and create an environment as you would on AWS: with the button above, or from a shell.
        </Box>
        <Plain label="Commands for an environment" text={'eval "$(windtunnel env)"\naws s3 mb s3://my-bucket\naws s3api put-bucket-versioning --bucket my-bucket --versioning-configuration Status=Enabled\naws s3 cp dags/ s3://my-bucket/dags/ --recursive\naws mwaa create-environment --name dev --source-bucket-arn arn:aws:s3:::my-bucket --dag-s3-path dags …'} />
      </SpaceBetween>
    </Container>
  );
}
