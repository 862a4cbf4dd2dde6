// Reads a cache folder with the hub's own client, and lets it fetch the same model into the same folder.
import { scanCacheDir, snapshotDownload } from "@huggingface/hub";

const [hubUrl, cacheDir, name] = process.argv.slice(2);
console.debug = () => {};
const before = await scanCacheDir(cacheDir);
const snapshot = await snapshotDownload({ repo: name, hubUrl, cacheDir });
console.log(JSON.stringify({
  snapshot,
  warnings: before.warnings.map(String),
  repos: before.repos.map(repo => ({
    name: repo.id.name,
    type: repo.id.type,
    refs: repo.revisions.flatMap(revision => revision.refs),
    commits: repo.revisions.map(revision => revision.commitOid),
    sizes: repo.revisions.flatMap(revision => revision.files.map(file => file.blob.size)).sort((a, b) => a - b),
  })),
}));
