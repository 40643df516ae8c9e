package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.hub.Downloader.Download;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.HubProxies;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubSettings.Surroundings;
import nibble.hub.client.RepoName;
import nibble.hub.client.Retries;
import nibble.hub.client.TransferListener;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The cache that is shared with the hub's own tools, in the states in which huggingface_hub 1.33 leaves it: complete,
 * without links, stopped half-way, to be read only.
 */
class CachedSnapshotTest {
    private static final RepoName REPO = RepoName.parse("org/tiny");

    @TempDir
    Path temp;

    private FakeHub hub;
    private final List<String> notes = new ArrayList<>();
    private final Map<String, byte[]> files = new TreeMap<>();

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
        files.put("config.json", "{}".getBytes(StandardCharsets.UTF_8));
        files.put("empty.txt", new byte[0]);
        files.put("model-00001-of-00002.safetensors", new byte[] {0, 1});
        files.put("model-00002-of-00002.safetensors", new byte[] {0, 2});
        files.put(
                "model.safetensors.index.json",
                ("{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\","
                                + " \"b\": \"model-00002-of-00002.safetensors\"}}")
                        .getBytes(StandardCharsets.UTF_8));
        files.put("tokenizer.json", "{}  ".getBytes(StandardCharsets.UTF_8));
        hub.put(REPO.toString(), files);
    }

    @AfterEach
    void stop() {
        hub.close();
    }

    private Downloader downloader(boolean offline, boolean links) {
        HubSettings settings = new HubSettings(
                URI.create(hub.endpoint()),
                temp.resolve("cache"),
                temp.resolve("state"),
                Optional.empty(),
                offline,
                new Surroundings(HubProxies.NONE, Optional.empty(), links));
        return new Downloader(settings, new Retries(2, Duration.ZERO, Duration.ZERO, _ -> {}));
    }

    private Download download(boolean offline, Selection selection) {
        TransferListener listener = new TransferListener() {
            @Override
            public void stage(String what) {}

            @Override
            public void bytes(long done, long total) {}

            @Override
            public void note(String what) {
                notes.add(what);
            }
        };
        return downloader(offline, true).download(REPO, "main", selection, listener);
    }

    private Path repo() {
        return temp.resolve("cache/models--org--tiny");
    }

    private String commit() {
        return hub.repositories.get(REPO.toString()).branches.get("main");
    }

    @Test
    void offline_a_complete_snapshot_will_do_and_the_network_is_left_alone() {
        Download online = download(false, Selection.NEEDED);
        hub.seen.clear();
        Download offline = download(true, Selection.NEEDED);
        assertThat(offline.folder()).isEqualTo(online.folder());
        assertThat(offline.files()).isEqualTo(7);
        assertThat(offline.bytesReceived()).isZero();
        assertThat(hub.seen()).isEmpty();
        assertThat(notes).isEmpty();
    }

    @Test
    void the_list_of_files_is_the_one_that_the_hubs_tools_keep() throws IOException {
        download(false, Selection.NEEDED);
        String sha256 = FakeRepository.hex("SHA-256", files.get("model-00001-of-00002.safetensors"));
        var json = HubHttp.JSON.readTree(Files.readString(repo().resolve("trees/" + commit() + ".json")));
        assertThat(json.path("format_version").asInt()).isEqualTo(1);
        assertThat(json.path("files").path("config.json").toString())
                .isEqualTo("{\"size\":2,\"blob_id\":\"" + FakeRepository.gitBlob(files.get("config.json")) + "\"}");
        assertThat(json.path("files").path("model-00001-of-00002.safetensors").toString())
                .isEqualTo("{\"size\":2,\"blob_id\":\""
                        + FakeRepository.gitBlob(sha256.getBytes(StandardCharsets.UTF_8))
                        + "\",\"lfs_sha256\":\"" + sha256 + "\",\"lfs_size\":2}");
    }

    @Test
    void where_not_all_files_were_brought_the_hubs_tools_find_no_list() {
        hub.put(REPO.toString(), Map.of("pytorch_model.bin", new byte[] {0, 9}));
        download(false, Selection.NEEDED);
        assertThat(repo().resolve("trees/" + commit() + ".json")).doesNotExist();
        assertThat(repo().resolve("trees/" + commit() + ".nibble.json")).exists();
        assertThat(download(true, Selection.NEEDED).files()).isEqualTo(7);
        assertThatThrownBy(() -> download(true, Selection.ALL))
                .hasMessageContaining("lacks 1 of the files needed (pytorch_model.bin)");
    }

    @Test
    void a_snapshot_that_another_tool_left_incomplete_is_not_taken_offline() throws IOException {
        // As snapshot_download leaves it when it is stopped: its reference and its list of files are written first.
        Download whole = download(false, Selection.NEEDED);
        Files.delete(whole.folder().resolve("tokenizer.json"));
        Files.delete(whole.folder().resolve("config.json"));
        assertThatThrownBy(() -> download(true, Selection.NEEDED))
                .isInstanceOf(HubException.class)
                .hasMessageContaining("the cache holds a part of it")
                .hasMessageContaining("lacks 2 of the files needed (config.json, tokenizer.json)")
                .hasMessageContaining("unset it to download");
        hub.faults.add(Fault.status("GET", "/revision/main", 503, 99, Map.of()));
        assertThatThrownBy(() -> download(false, Selection.NEEDED))
                .hasMessageContaining("lacks 2 of the files needed")
                .hasMessageContaining("HTTP 503");
        hub.faults.clear();
        assertThat(download(false, Selection.NEEDED).bytesReceived())
                .as("the blobs were there")
                .isZero();
        assertThat(download(true, Selection.NEEDED).files()).isEqualTo(7);
    }

    @Test
    void without_a_list_the_index_says_which_shards_are_missing() throws IOException {
        Download whole = download(false, Selection.NEEDED);
        Files.delete(repo().resolve("trees/" + commit() + ".json"));
        assertThat(download(true, Selection.NEEDED).folder()).isEqualTo(whole.folder());
        assertThat(notes)
                .singleElement()
                .satisfies(note ->
                        assertThat(note).contains("the cache may lack files of commit", "no tool has noted its list"));
        Files.delete(whole.folder().resolve("model-00002-of-00002.safetensors"));
        assertThatThrownBy(() -> download(true, Selection.NEEDED))
                .hasMessageContaining("lacks 1 of the files needed (model-00002-of");
    }

    @Test
    void a_hub_that_refuses_is_no_reason_to_refuse_what_the_cache_has() {
        Download whole = download(false, Selection.NEEDED);
        for (int status : new int[] {401, 403, 404, 500}) {
            hub.faults.add(Fault.status(
                    "GET", "/revision/main", status, 2, Map.of("X-Error-Code", status == 500 ? "" : "RepoNotFound")));
            notes.clear();
            assertThat(download(false, Selection.NEEDED).folder()).isEqualTo(whole.folder());
            hub.faults.clear();
            assertThat(notes.getLast())
                    .contains("taking org/tiny from the cache, commit " + commit(), "HTTP " + status);
        }
        assertThatThrownBy(
                        () -> downloader(false, true).download(REPO, "gone", Selection.NEEDED, TransferListener.SILENT))
                .hasMessageContaining("no branch, tag or commit gone");
    }

    @Test
    void a_snapshot_without_links_is_whole_without_blobs() throws IOException {
        // As the hub's own client writes it where links are not possible: contents lie in the snapshot, blobs is empty.
        Download first = download(false, Selection.NEEDED);
        for (String path : files.keySet()) {
            Path link = first.folder().resolve(path);
            byte[] content = Files.readAllBytes(link);
            Files.delete(link);
            Files.write(link, content);
        }
        try (Stream<Path> blobs = Files.list(repo().resolve("blobs"))) {
            for (Path blob : blobs.filter(b -> !b.endsWith(FakeRepository.gitBlob("".getBytes(StandardCharsets.UTF_8))))
                    .toList()) {
                Files.delete(blob);
            }
        }
        Files.delete(first.folder().resolve(".gitattributes"));
        Download again = download(false, Selection.NEEDED);
        assertThat(again.bytesReceived()).isEqualTo(Files.size(first.folder().resolve(".gitattributes")));
    }

    @Test
    void where_links_are_not_wanted_the_snapshot_holds_the_content_itself() throws IOException {
        Download download = downloader(false, false).download(REPO, "main", Selection.NEEDED, TransferListener.SILENT);
        for (String path : files.keySet()) {
            assertThat(Files.isSymbolicLink(download.folder().resolve(path)))
                    .as(path)
                    .isFalse();
            assertThat(download.folder().resolve(path)).hasBinaryContent(files.get(path));
        }
        assertThat(download(false, Selection.NEEDED).bytesReceived()).isZero();
    }

    @Test
    void a_truncated_file_of_a_snapshot_is_brought_again() throws IOException {
        Download download = downloader(false, false).download(REPO, "main", Selection.NEEDED, TransferListener.SILENT);
        Files.delete(download.folder().resolve("tokenizer.json"));
        Files.writeString(download.folder().resolve("tokenizer.json"), "{");
        assertThatThrownBy(() -> download(true, Selection.NEEDED)).hasMessageContaining("tokenizer.json");
        download(false, Selection.NEEDED);
        assertThat(download.folder().resolve("tokenizer.json")).hasBinaryContent(files.get("tokenizer.json"));
    }

    @Test
    void a_complete_cache_is_only_read() throws IOException {
        Download first = download(false, Selection.NEEDED);
        List<Path> folders;
        try (Stream<Path> all = Files.walk(temp.resolve("cache"))) {
            folders = all.filter(Files::isDirectory).toList();
        }
        Map<Path, java.nio.file.attribute.FileTime> before = new TreeMap<>();
        for (Path folder : folders) {
            before.put(folder, Files.getLastModifiedTime(folder));
            Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
        }
        try {
            Download again = download(false, Selection.NEEDED);
            assertThat(again.folder()).isEqualTo(first.folder());
        } finally {
            for (Path folder : folders) {
                Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
            }
        }
        for (Path folder : folders) {
            // The administrator may write in spite of permissions: nothing was.
            assertThat(Files.getLastModifiedTime(folder)).as(folder.toString()).isEqualTo(before.get(folder));
        }
    }

    @Test
    void bytes_of_other_tools_that_are_coming_are_left_alone() throws IOException {
        Files.createDirectories(repo().resolve("blobs"));
        String etag = FakeRepository.hex("SHA-256", files.get("model-00001-of-00002.safetensors"));
        Path theirs = Files.writeString(repo().resolve("blobs/" + etag + ".incomplete"), "theirs");
        Path newer = Files.writeString(repo().resolve("blobs/" + etag + ".0a1b2c3d.incomplete"), "theirs too");
        download(false, Selection.NEEDED);
        assertThat(theirs).hasContent("theirs");
        assertThat(newer).hasContent("theirs too");
    }

    @Test
    void one_of_several_gguf_models_is_taken_by_its_name_online_and_offline() {
        hub.put("org/ggufs", Map.of("m-Q4_0.gguf", new byte[] {'G', 0, 1}, "m-Q8_0.gguf", new byte[] {'G', 0, 2}));
        Downloader online = downloader(false, true);
        assertThatThrownBy(() -> new ModelName("org/ggufs").resolve(online, TransferListener.SILENT))
                .hasMessageContaining("org/ggufs: holds 2 GGUF models; say which: org/ggufs:m-Q4_0.gguf (0.00 GB),"
                        + " org/ggufs:m-Q8_0.gguf");
        Path chosen = new ModelName("org/ggufs@main:Q8_0").resolve(online, TransferListener.SILENT);
        assertThat(chosen).hasBinaryContent(new byte[] {'G', 0, 2});
        assertThat(hub.seen().stream().filter(r -> r.path().startsWith("/store/")))
                .as("nothing else was brought")
                .hasSize(1);
        Downloader offline = downloader(true, true);
        assertThat(new ModelName("org/ggufs:m-Q8_0.gguf").resolve(offline, TransferListener.SILENT))
                .isEqualTo(chosen);
        assertThatThrownBy(() -> new ModelName("org/ggufs:m-Q4_0.gguf").resolve(offline, TransferListener.SILENT))
                .hasMessageContaining("lacks 1 of the files needed (m-Q4_0.gguf)");
    }

    @Test
    void two_processes_that_download_one_repository_bring_each_file_once() throws Exception {
        Map<String, byte[]> many = new TreeMap<>();
        for (int i = 0; i < 12; i++) {
            byte[] content = new byte[20_000];
            new java.util.Random(i).nextBytes(content);
            many.put("part-" + i + ".bin", content);
        }
        hub.put("me/many", many);
        List<Process> processes = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            processes.add(new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-XX:TieredStopAtLevel=1",
                            "-cp",
                            System.getProperty("java.class.path"),
                            DownloadProcess.class.getName(),
                            hub.endpoint(),
                            temp.toString(),
                            "me/many")
                    .redirectErrorStream(true)
                    .start());
        }
        long received = 0;
        for (Process process : processes) {
            String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            assertThat(process.waitFor()).as(out).isZero();
            received += Long.parseLong(out);
        }
        long attributes = hub.content("me/many", "main", ".gitattributes").length;
        assertThat(received).isEqualTo(12 * 20_000 + attributes);
        assertThat(hub.seen().stream().filter(r -> r.path().startsWith("/store/")))
                .hasSize(12);
        try (Stream<Path> all = Files.walk(temp.resolve("cache"))) {
            assertThat(all.map(Path::toString)).noneMatch(path -> path.contains("incomplete"));
        }
    }
}
