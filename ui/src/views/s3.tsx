// Buckets, prefixes and objects; upload by drag and drop; versions, delete markers, restore.

import Badge from "@cloudscape-design/components/badge";
import Box from "@cloudscape-design/components/box";
import BreadcrumbGroup from "@cloudscape-design/components/breadcrumb-group";
import Button from "@cloudscape-design/components/button";
import Header from "@cloudscape-design/components/header";
import CloudLink from "@cloudscape-design/components/link";
import Modal from "@cloudscape-design/components/modal";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table from "@cloudscape-design/components/table";
import TextFilter from "@cloudscape-design/components/text-filter";
import Toggle from "@cloudscape-design/components/toggle";
import { useRef, useState } from "react";
import { useLocation, useSearch } from "wouter";
import { call, downloadUrl, get, query, send, upload } from "../api";
import { bytes, lastPart, moment, plural } from "../format";
import { useLive } from "../live";
import { Nothing, To, Trouble } from "../parts/bits";
import { attempt } from "../parts/notices";
import type { BucketTold, ObjectPage, VersionTold } from "../wire";

const PAGE = 100;

export default function S3({ bucket }: { bucket: string }) {
  const search = new URLSearchParams(useSearch());
  if (!bucket) return <Buckets />;
  const prefix = search.get("prefix") ?? "";
  const key = search.get("key");
  return key !== null ? <Objects key={`k${bucket}${key}`} bucket={bucket} prefix={key} exact /> : <Objects key={bucket + prefix} bucket={bucket} prefix={prefix} />;
}

function Buckets() {
  const buckets = useLive((signal) => get<BucketTold[]>("buckets", signal), [], (event) => event.type.startsWith("Object"));
  return (
    <SpaceBetween size="l">
      <Trouble error={buckets.error} what="Buckets cannot be listed" />
      <Table
        variant="container"
        items={buckets.data ?? []}
        loading={buckets.loading}
        loadingText="Loading"
        trackBy="name"
        header={<Header variant="h1" counter={buckets.data ? `(${buckets.data.length})` : ""}>Buckets</Header>}
        empty={<Nothing title="There are no buckets">`aws s3 mb s3://my-bucket` makes one.</Nothing>}
        columnDefinitions={[
          { id: "name", header: "Name", cell: (one) => <To href={`/s3/${one.name}`}>{one.name}</To>, isRowHeader: true },
          { id: "versioning", header: "Versioning", cell: (one) => one.versioning },
          { id: "created", header: "Created", cell: (one) => moment(one.created) },
        ]}
      />
    </SpaceBetween>
  );
}

type Row = { folder: string } | (VersionTold & { key: string });
const isFolder = (row: Row): row is { folder: string } => "folder" in row;

function Objects({ bucket, prefix, exact = false }: { bucket: string; prefix: string; exact?: boolean }) {
  const [, go] = useLocation();
  const [versions, setVersions] = useState(exact);
  const [find, setFind] = useState("");
  const [going, setGoing] = useState<(VersionTold & { key: string }) | null>(null);
  /** Where each page begins that was turned so far. */
  const [turned, setTurned] = useState<NonNullable<ObjectPage["next"]>[]>([]);
  const from = turned.at(-1);
  const asked = { bucket, prefix: prefix + find, delimiter: exact ? undefined : "/", versions: versions ? 1 : undefined, limit: PAGE, after_key: from?.after_key, after_version: from?.after_version };
  const page = useLive((signal) => get<ObjectPage>(`objects?${query(asked)}`, signal), [asked], (event) => event.bucket === bucket && (event.key ?? "").startsWith(prefix));
  const rows: Row[] = [...(page.data?.folders ?? []).map((folder) => ({ folder })), ...(page.data?.entries ?? [])].filter((row) => isFolder(row) || !exact || row.key === prefix);
  const here = (next: string) => `/s3/${bucket}${next ? `?prefix=${encodeURIComponent(next)}` : ""}`;
  const remove = (row: VersionTold & { key: string }) => {
    const version = versions ? row.version_id : undefined;
    const what = version ? `Version ${version} is gone for good` : `${row.key} is deleted; a marker covers its versions`;
    return attempt(what, () => call("DELETE", `object?${query({ bucket, key: row.key, version_id: version })}`)).then(page.reload);
  };
  const restore = (row: VersionTold & { key: string }) =>
    attempt(row.is_delete_marker ? `${row.key} is back` : `${row.key} is what it was`, () =>
      row.is_delete_marker ? call("DELETE", `object?${query({ bucket, key: row.key, version_id: row.version_id })}`) : send("POST", `restore?${query({ bucket, key: row.key, version_id: row.version_id })}`),
    ).then(page.reload);
  const parts = prefix.split("/").filter(Boolean);
  const folder = exact ? prefix.slice(0, prefix.lastIndexOf("/") + 1) : prefix;
  return (
    <SpaceBetween size="l">
      <Header variant="h1" actions={<Toggle checked={versions} onChange={({ detail }) => { setVersions(detail.checked); setTurned([]); }}>Show versions</Toggle>}>{exact ? lastPart(prefix) : bucket}</Header>
      <BreadcrumbGroup
        ariaLabel="Place in the bucket"
        items={[{ text: bucket, href: here("") }, ...parts.map((text, at) => ({ text, href: exact && at === parts.length - 1 ? "#" : here(`${parts.slice(0, at + 1).join("/")}/`) }))]}
        onFollow={(event) => { event.preventDefault(); if (event.detail.href !== "#") go(event.detail.href); }}
      />
      <Drop bucket={bucket} prefix={folder} done={page.reload} />
      <Trouble error={page.error} what="The bucket cannot be listed" />
      <Table
        items={rows}
        loading={page.loading}
        loadingText="Loading"
        variant="container"
        header={<Header variant="h2" counter={page.data ? `(${rows.length}${page.data.next ? "+" : ""})` : ""} actions={<Pages at={turned.length} next={page.data?.next ?? null} turn={setTurned} turned={turned} />}>{versions ? "Versions" : "Objects"}</Header>}
        filter={exact ? undefined : <TextFilter filteringText={find} filteringPlaceholder="Keys that begin with" filteringAriaLabel="Find keys" onChange={({ detail }) => { setFind(detail.filteringText); setTurned([]); }} />}
        empty={<Nothing title="There is nothing here">{prefix ? undefined : "Drop files above, or save one in the project."}</Nothing>}
        columnDefinitions={[
          { id: "name", header: "Name", isRowHeader: true, cell: (row) => (isFolder(row) ? <To href={here(row.folder)}>{`${lastPart(row.folder)}/`}</To> : exact ? row.version_id : <To href={`/s3/${bucket}?key=${encodeURIComponent(row.key)}`}>{row.key.slice(prefix.length) || row.key}</To>) },
          { id: "version", header: "Version", cell: (row) => (isFolder(row) ? "–" : <>{versions && !exact ? row.version_id.slice(0, 12) : ""} {row.is_delete_marker ? <Badge color="red">delete marker</Badge> : row.is_latest ? <Badge color="green">current</Badge> : <Badge>older</Badge>}</>) },
          { id: "size", header: "Size", cell: (row) => (isFolder(row) || row.is_delete_marker ? "–" : bytes(row.size_bytes)) },
          { id: "modified", header: "Modified", cell: (row) => (isFolder(row) ? "–" : moment(row.modified)) },
          { id: "do", header: "Actions", cell: (row) => isFolder(row) ? "–" : (
            <SpaceBetween direction="horizontal" size="s">
              {!row.is_delete_marker && <CloudLink href={downloadUrl(bucket, row.key, row.version_id)} ariaLabel={`Download ${row.key}`}>Download</CloudLink>}
              {versions && (!row.is_latest || row.is_delete_marker) && <Button variant="inline-link" ariaLabel={`Restore ${row.key}`} onClick={() => void restore(row)}>Restore</Button>}
              <Button variant="inline-link" ariaLabel={`Delete ${row.key}`} onClick={() => (versions ? setGoing(row) : void remove(row))}>Delete</Button>
            </SpaceBetween>
          ) },
        ]}
      />
      {going && (
        <Modal
          visible
          onDismiss={() => setGoing(null)}
          header="Delete this version for good?"
          closeAriaLabel="Close"
          footer={
            <Box float="right">
              <SpaceBetween direction="horizontal" size="xs">
                <Button variant="link" onClick={() => setGoing(null)}>Cancel</Button>
                <Button variant="primary" onClick={() => { setGoing(null); void remove(going); }}>Delete for good</Button>
              </SpaceBetween>
            </Box>
          }
        >
          {going.is_delete_marker ? "The delete marker goes, and what was there before is back." : `Version ${going.version_id} of ${going.key} cannot be brought back.`}
        </Modal>
      )}
    </SpaceBetween>
  );
}

type Next = NonNullable<ObjectPage["next"]>;

function Pages({ at, next, turned, turn }: { at: number; next: Next | null; turned: Next[]; turn: (turned: Next[]) => void }) {
  if (at === 0 && !next) return null;
  return (
    <SpaceBetween direction="horizontal" size="xs" alignItems="center">
      <Button iconName="angle-left" variant="icon" ariaLabel="Previous page" disabled={at === 0} onClick={() => turn(turned.slice(0, -1))} />
      <Box>Page {at + 1}</Box>
      <Button iconName="angle-right" variant="icon" ariaLabel="Next page" disabled={!next} onClick={() => next && turn([...turned, next])} />
    </SpaceBetween>
  );
}

function Drop({ bucket, prefix, done }: { bucket: string; prefix: string; done: () => void }) {
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const take = async (files: File[]) => {
    if (files.length === 0) return;
    setBusy(files.length);
    await attempt(`${plural(files.length, "file")} uploaded`, async () => {
      for (const file of files) await upload(bucket, prefix + file.name, file);
    });
    setBusy(0);
    done();
  };
  return (
    <div
      className={over ? "drop over" : "drop"}
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => { event.preventDefault(); setOver(false); void take([...event.dataTransfer.files]); }}
    >
      <input ref={input} type="file" multiple hidden aria-label="Files to upload" onChange={(event) => { void take([...(event.target.files ?? [])]); event.target.value = ""; }} />
      <SpaceBetween direction="horizontal" size="s" alignItems="center">
        <Button iconName="upload" loading={busy > 0} onClick={() => input.current?.click()}>Upload</Button>
        <Box color="text-body-secondary">or drop files here, into s3://{bucket}/{prefix}</Box>
      </SpaceBetween>
    </div>
  );
}
