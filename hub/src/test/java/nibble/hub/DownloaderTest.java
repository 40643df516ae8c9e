package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import nibble.checkpoint.Checksums;
import nibble.checkpoint.source.FileDigest;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.hub.Downloader.Download;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubException;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.Retries;
import nibble.hub.client.TransferListener;
import nibble.hub.client.TransferSlots;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Downloading from a fake hub that misbehaves: the cache holds what the hub stated, or the error says what came
 * instead.
 */
class DownloaderTest {
    private static final RepoName REPO = RepoName.parse("org/tiny");
    private static final String WEIGHTS = "model.safetensors";

    @TempDir
    Path temp;

    private FakeHub hub;
    private final Map<String, byte[]> files = new TreeMap<>();

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
        byte[] weights = new byte[300_000];
        new Random(3).nextBytes(weights);
        files.put(WEIGHTS, weights);
        files.put("config.json", "{\"a\": 1}".getBytes(java.nio.charset.StandardCharsets.UTF_8));
        files.put("docs/a b.md", "words".getBytes(java.nio.charset.StandardCharsets.UTF_8));
        hub.put(REPO.toString(), files);
        hub.put(REPO.toString(), Map.of("pytorch_model.bin", new byte[9], "original/consolidated.00.pth", new byte[9]));
    }

    @AfterEach
    void stop() {
        assertThat(hub.seen()).allSatisfy(request -> {
            if (request.host().equals("localhost")) {
                assertThat(request.authorization()).isEqualTo("null");
            } else {
                assertThat(request.authorization()).isEqualTo("Bearer " + FakeHub.TOKEN);
            }
        });
        hub.close();
    }

    @Test
    void the_cache_has_the_layout_of_the_hubs_tools() throws IOException {
        Download download = download();

        String commit = hub.repositories.get(REPO.toString()).branches.get("main");
        Path repo = temp.resolve("cache/models--org--tiny");
        assertThat(download.folder()).isEqualTo(repo.resolve("snapshots").resolve(commit));
        assertThat(repo.resolve("refs/main")).hasContent(commit);
        String sha256 = FakeRepository.hex("SHA-256", files.get(WEIGHTS));
        assertThat(Files.readSymbolicLink(download.folder().resolve(WEIGHTS)))
                .isEqualTo(Path.of("../../blobs/" + sha256));
        assertThat(Files.readSymbolicLink(download.folder().resolve("docs/a b.md"))
                        .toString())
                .isEqualTo("../../../blobs/" + FakeRepository.gitBlob(files.get("docs/a b.md")));
        assertComplete(download);
        assertThat(download.folder().resolve("pytorch_model.bin")).doesNotExist();
        assertThat(download.folder().resolve("original")).doesNotExist();
        List<FileDigest> digests = FileDigest.of(RepositoryFiles.list(download.folder()), 1, bytes -> {});
        Checksums.check(
                download.folder(), digests, finding -> assertThat(finding).isNull());
    }

    @Test
    void all_means_all() {
        Download download = downloader(false).download(REPO, "main", Selection.ALL, TransferListener.SILENT);
        assertThat(download.folder().resolve("original/consolidated.00.pth")).exists();
    }

    @Test
    void what_is_there_is_not_fetched_again() {
        download();
        hub.seen.clear();
        Download again = download();
        assertThat(again.bytesReceived()).isZero();
        assertThat(hub.seen())
                .noneMatch(r -> r.path().contains("/resolve/") || r.path().startsWith("/store/"));
    }

    static Stream<Fault> passing() {
        return Stream.of(
                Fault.of(Fault.Kind.CUT_ANSWER, "GET", "/store/", 0, 2),
                Fault.of(Fault.Kind.CUT_ANSWER, "GET", "/store/", 1, 4),
                Fault.of(Fault.Kind.CUT_ANSWER, "GET", "/store/", 299_999, 1),
                Fault.of(Fault.Kind.CUT_ANSWER, "GET", "/store/", 5_000, 4),
                Fault.of(Fault.Kind.LOSE_ANSWER, "GET", "/store/", 0, 2),
                Fault.status("GET", "/store/", 503, 2, Map.of("Retry-After", "1")),
                Fault.status("GET", "/resolve/", 500, 3, Map.of()),
                Fault.status("GET", "/revision/main", 429, 1, Map.of("ratelimit", "\"api\";r=0;t=5")));
    }

    @ParameterizedTest
    @MethodSource("passing")
    void a_fault_that_passes_ends_in_the_complete_snapshot(Fault fault) throws IOException {
        hub.faults.add(fault);
        Download download = download();
        assertThat(fault.left.get()).as("the fault was met").isLessThanOrEqualTo(0);
        assertComplete(download);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void a_download_goes_on_where_it_stopped(boolean rangesAreHeeded) throws IOException {
        hub.faults.add(Fault.of(Fault.Kind.CUT_ANSWER, "GET", "/store/", 250_000, 1));
        hub.faults.add(Fault.status("GET", "/store/", 404, 1, Map.of()));
        assertThatThrownBy(this::download).isInstanceOf(HubException.class);
        Path part = temp.resolve("cache/models--org--tiny/blobs")
                .resolve(FakeRepository.hex("SHA-256", files.get(WEIGHTS)) + ".nibble.incomplete");
        // A connection that ends in error takes bytes with it that were not read yet.
        long kept = Files.size(part);
        assertThat(kept).isBetween(1L, 250_000L);
        assertThat(temp.resolve("cache/models--org--tiny/refs")).doesNotExist();
        if (!rangesAreHeeded) {
            hub.faults.add(Fault.of(Fault.Kind.IGNORE_RANGE, "GET", "/store/", 0, 1));
        }

        Download download = download();

        assertComplete(download);
        assertThat(part).doesNotExist();
        long attributes = Files.size(download.folder().resolve(".gitattributes"));
        long small = files.values().stream().mapToLong(f -> f.length).sum() - 300_000 + attributes;
        long expected = rangesAreHeeded ? 300_000 - kept : 300_000;
        // The small files may have come whole the first time.
        assertThat(download.bytesReceived()).isBetween(expected, expected + small);
    }

    @Test
    void content_of_another_hash_is_refused_and_not_kept() {
        hub.faults.add(Fault.of(Fault.Kind.FLIP_BYTE, "GET", "/store/", 0, 1));
        assertThatThrownBy(this::download)
                .isInstanceOf(HubException.class)
                .hasMessageContaining(WEIGHTS)
                .hasMessageContaining("SHA-256")
                .hasMessageContaining(FakeRepository.hex("SHA-256", files.get(WEIGHTS)));
        assertThat(temp.resolve("cache/models--org--tiny/snapshots"))
                .satisfiesAnyOf(
                        path -> assertThat(path).doesNotExist(),
                        path -> assertThat(RepositoryFiles.list(path)).doesNotContainKey(WEIGHTS));
        download();
    }

    @Test
    void a_small_file_of_another_hash_is_refused_too() {
        hub.faults.add(Fault.of(Fault.Kind.FLIP_BYTE, "GET", "/config.json", 0, 2));
        assertThatThrownBy(this::download).hasMessageContaining("config.json").hasMessageContaining("git hash");
    }

    @Test
    void paths_that_lead_elsewhere_are_refused() {
        hub.put(REPO.toString(), Map.of("../../evil.txt", new byte[3]));
        assertThatThrownBy(this::download).isInstanceOf(HubException.class).hasMessageContaining("outside the cache");
        assertThat(temp.resolve("evil.txt")).doesNotExist();
    }

    @Test
    void what_does_not_exist_is_said() {
        assertThatThrownBy(() -> downloader(false).download(REPO, "v9", Selection.NEEDED, TransferListener.SILENT))
                .hasMessageContaining("no branch, tag or commit v9");
        assertThatThrownBy(() -> downloader(false)
                        .download(RepoName.parse("org/none"), "main", Selection.NEEDED, TransferListener.SILENT))
                .hasMessageContaining("RepoNotFound");
    }

    @Test
    void files_larger_than_one_answer_come_in_pieces() throws IOException {
        hub.mostBytes = 70_000;
        hub.faults.add(Fault.of(Fault.Kind.CUT_ANSWER, "GET", "/store/", 5_000, 1));
        Downloader pieces =
                new Downloader(settings(false), new Retries(5, Duration.ZERO, Duration.ZERO, _ -> {}), 70_000);
        assertComplete(pieces.download(REPO, "main", Selection.NEEDED, TransferListener.SILENT));
        assertThat(hub.seen().stream()
                        .filter(r -> r.path().startsWith("/store/"))
                        .count())
                .isBetween(5L, 6L);
    }

    @Test
    void addresses_that_have_expired_are_asked_for_anew() throws IOException {
        hub.expiringAddresses.set(2);
        assertComplete(download());
        assertThat(hub.seen().stream().filter(r -> r.path().endsWith("/resolve/" + commit() + "/" + WEIGHTS)))
                .hasSize(3);
    }

    @Test
    void addresses_that_stay_expired_are_a_clear_error_without_their_signature() {
        hub.expiringAddresses.set(99);
        assertThatThrownBy(this::download)
                .hasMessageContaining("/store/object-of/")
                .hasMessageContaining("HTTP 403")
                .hasMessageContaining("the object store refuses the address")
                .hasMessageNotContaining("SIGNED");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"error\": null}",
                "[\"a\", 3]",
                "[{\"path\": \"x\"}]",
                "[]",
                "null",
                "<html>",
                "[{\"type\": \"file\", \"path\": \"x\"}]"
            })
    void a_list_of_files_of_another_shape_is_no_empty_repository(String answer) {
        hub.faults.add(Fault.answer("GET", "/tree/", answer));
        assertThatThrownBy(this::download)
                .isInstanceOf(HubException.class)
                .hasMessageMatching("(?s).*(no list|no \"type\"|no files at this revision|web page|no size or hash).*");
    }

    @Test
    void why_files_are_refused_is_said() {
        hub.gated.put(REPO.toString(), List.of("somebody"));
        assertThatThrownBy(this::download)
                .hasMessageContaining("HTTP 403")
                .hasMessageContaining("the repository is gated: ask for access on " + hub.endpoint()
                        + "/org/tiny with the account of this token");
        Downloader nobody = new Downloader(
                new HubSettings(
                        URI.create(hub.endpoint()), temp.resolve("c"), temp.resolve("s"), Optional.empty(), false),
                new Retries(1, Duration.ZERO, Duration.ZERO, _ -> {}));
        assertThatThrownBy(() -> new ModelName("org/tiny").resolve(nobody, TransferListener.SILENT))
                .hasMessageContaining("HTTP 401")
                .hasMessageContaining("code GatedRepo")
                .hasMessageContaining("accept its terms on " + hub.endpoint()
                        + "/org/tiny, then put a token of that account into HF_TOKEN")
                .hasMessageNotContaining("no such");
        assertThatThrownBy(() -> new ModelName("org/nothing").resolve(nobody, TransferListener.SILENT))
                .hasMessageContaining("org/nothing: no such folder, and no such repository: ")
                .hasMessageContaining("or put a token into HF_TOKEN if it is private");
        hub.seen.clear();
    }

    @Test
    void a_name_is_resolved_from_the_hub_then_offline_from_the_cache() throws IOException {
        assertThatThrownBy(() -> resolve("org/tiny", true))
                .isInstanceOf(HubException.class)
                .hasMessageContaining("HF_HUB_OFFLINE");
        Path online = resolve("org/tiny", false);
        assertThat(online.resolve("config.json")).hasBinaryContent(files.get("config.json"));
        hub.seen.clear();
        assertThat(resolve("org/tiny", true)).isEqualTo(online);
        assertThat(resolve("org/tiny@" + online.getFileName(), true)).isEqualTo(online);
        assertThat(hub.seen()).isEmpty();
        assertThat(resolve(temp.toString(), true)).isEqualTo(temp);
        assertThat(resolve("nowhere", true)).isEqualTo(Path.of("nowhere"));
    }

    @Test
    void where_the_hub_does_not_answer_the_cache_will_do() {
        Path online = resolve("org/tiny", false);
        hub.faults.add(Fault.of(Fault.Kind.LOSE_ANSWER, "GET", "/revision/", 0, 99));
        assertThat(resolve("org/tiny", false)).isEqualTo(online);
    }

    @Test
    void two_downloads_at_a_time_do_not_disturb_each_other() throws IOException {
        Callable<Download> one = this::download;
        for (Download download : TransferSlots.all(List.of(one, one, one))) {
            assertComplete(download);
        }
        long bytes =
                hub.seen().stream().filter(r -> r.path().startsWith("/store/")).count();
        assertThat(bytes).as("the weights came once").isEqualTo(1);
    }

    private String commit() {
        return hub.repositories.get(REPO.toString()).branches.get("main");
    }

    private Path resolve(String text, boolean offline) {
        return new ModelName(text).resolve(downloader(offline), TransferListener.SILENT);
    }

    private Download download() {
        return downloader(false).download(REPO, "main", Selection.NEEDED, TransferListener.SILENT);
    }

    private Downloader downloader(boolean offline) {
        return new Downloader(settings(offline), new Retries(5, Duration.ZERO, Duration.ZERO, pause -> {}));
    }

    private HubSettings settings(boolean offline) {
        return new HubSettings(
                URI.create(hub.endpoint()),
                temp.resolve("cache"),
                temp.resolve("state"),
                Optional.of(HubToken.of(FakeHub.TOKEN)),
                offline);
    }

    private void assertComplete(Download download) throws IOException {
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
            assertThat(Arrays.equals(Files.readAllBytes(download.folder().resolve(file.getKey())), file.getValue()))
                    .as(file.getKey())
                    .isTrue();
        }
    }
}
