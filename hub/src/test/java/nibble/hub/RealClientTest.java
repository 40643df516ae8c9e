package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.hub.Downloader.Download;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * The hub's own client, huggingface_hub, against the fake hub, and with ours on one cache. Run with 1.33.0, httpx
 * 0.28.1, Python 3.11 on 2026-11-25.
 */
@EnabledIfSystemProperty(
        named = "nibble.hf.python",
        matches = ".+",
        disabledReason = "set -Dnibble.hf.python=PYTHON to one that has huggingface_hub")
class RealClientTest {
    private static final RepoName REPO = RepoName.parse("me/tiny");

    @TempDir
    Path temp;

    private FakeHub hub;
    private final Map<String, byte[]> files = new TreeMap<>();

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
        hub.partBytes = 100_000;
        byte[] weights = new byte[350_001];
        new Random(3).nextBytes(weights);
        files.put("model.safetensors", weights);
        files.put("config.json", "{\"a\": 1}".getBytes(StandardCharsets.UTF_8));
        files.put("docs/a b.md", "words".getBytes(StandardCharsets.UTF_8));
        files.put("empty.bin", new byte[0]);
        files.put("README.md", "---\nlicense: mit\n---\n# Card\n".getBytes(StandardCharsets.UTF_8));
    }

    @AfterEach
    void stop() {
        hub.close();
    }

    private Process python(String token, String... lines) throws IOException {
        List<String> command = new ArrayList<>(List.of(System.getProperty("nibble.hf.python"), "-c"));
        command.add("from huggingface_hub import *\n" + String.join("\n", lines));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment()
                .putAll(Map.of(
                        "HF_ENDPOINT",
                        hub.endpoint(),
                        "HF_TOKEN",
                        token,
                        "HF_HOME",
                        temp.resolve("home").toString(),
                        "HF_HUB_CACHE",
                        temp.resolve("cache").toString(),
                        "HF_HUB_DISABLE_XET",
                        "1",
                        "HF_HUB_DISABLE_TELEMETRY",
                        "1",
                        "HF_HUB_DISABLE_PROGRESS_BARS",
                        "1"));
        return builder.start();
    }

    private static String finish(Process process) throws Exception {
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(out).isZero();
        return out.strip();
    }

    private Path folder() throws IOException {
        Path folder = temp.resolve("model");
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
            Files.createDirectories(folder.resolve(file.getKey()).getParent());
            Files.write(folder.resolve(file.getKey()), file.getValue());
        }
        return folder;
    }

    private Download download() {
        HubSettings settings = new HubSettings(
                URI.create(hub.endpoint()),
                temp.resolve("cache"),
                temp.resolve("state"),
                Optional.of(HubToken.of(FakeHub.TOKEN)),
                false);
        return new Downloader(settings).download(REPO, "main", Selection.ALL, TransferListener.SILENT);
    }

    private void assertComplete(Path snapshot) throws IOException {
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
            assertThat(Arrays.equals(Files.readAllBytes(snapshot.resolve(file.getKey())), file.getValue()))
                    .as(file.getKey())
                    .isTrue();
        }
        try (Stream<Path> all = Files.walk(temp.resolve("cache"))) {
            assertThat(all.map(Path::toString)).noneMatch(path -> path.contains("incomplete"));
        }
    }

    private static final String DOWNLOAD = "print(snapshot_download('me/tiny'))";

    @Test
    void it_publishes_to_the_fake_hub_and_finds_what_it_published() throws Exception {
        String out = finish(python(
                FakeHub.TOKEN,
                "api = HfApi()",
                "print(api.whoami()['name'], api.create_repo('me/tiny', exist_ok=True))",
                "api.create_repo('me/tiny', exist_ok=True)",
                "print(api.upload_folder(repo_id='me/tiny', folder_path='" + folder() + "').oid)",
                "info = api.model_info('me/tiny')",
                "print(info.sha, info.private, info.created_at.year, len(info.siblings))",
                "print(len(list(api.list_repo_tree('me/tiny', recursive=True))),"
                        + " len(api.list_repo_commits('me/tiny')))",
                "print(api.file_exists('me/tiny', 'nothing'), api.revision_exists('me/tiny', 'none'),"
                        + " api.repo_exists('me/none'))"));
        String sha = hub.repositories.get("me/tiny").branches.get("main");
        assertThat(out)
                .contains(
                        "me " + hub.endpoint() + "/me/tiny\n" + sha + "\n" + sha + " False 2026 6\n",
                        "7 2\n",
                        "False False False");
        for (Map.Entry<String, byte[]> file : files.entrySet()) {
            assertThat(hub.content("me/tiny", "main", file.getKey()))
                    .as(file.getKey())
                    .isEqualTo(file.getValue());
        }
    }

    @Test
    void it_opens_a_pull_request_where_it_may_not_write_and_may_not_commit() throws Exception {
        hub.put("me/tiny", Map.of("config.json", new byte[] {'x'}));
        assertThat(finish(python(
                        FakeHub.OTHER_TOKEN,
                        "print(HfApi().upload_folder(repo_id='me/tiny', folder_path='" + folder()
                                + "', create_pr=True).pr_url)")))
                .endsWith("/me/tiny/discussions/1");
        assertThat(finish(python(
                        FakeHub.READ_TOKEN,
                        "try: HfApi().upload_folder(repo_id='me/tiny', folder_path='" + folder() + "')",
                        "except Exception as e: print(type(e).__name__, e.response.status_code)")))
                .endsWith("HfHubHTTPError 403");
    }

    @Test
    void it_knows_the_fake_hubs_refusals_by_their_codes() throws Exception {
        hub.put("me/tiny", files);
        hub.gated.put("me/tiny", List.of("me"));
        assertThat(finish(python(
                        FakeHub.OTHER_TOKEN,
                        "for repo, file, revision in [('me/tiny', 'config.json', 'main'), ('me/none', 'x', 'main')]:",
                        "  try: hf_hub_download(repo, file, revision=revision)",
                        "  except Exception as e: print(type(e).__name__)")))
                .isEqualTo("GatedRepoError\nRepositoryNotFoundError");
        assertThat(finish(python(
                        FakeHub.TOKEN,
                        "for file, revision in [('config.json', 'none'), ('none', 'main')]:",
                        "  try: hf_hub_download('me/tiny', file, revision=revision)",
                        "  except Exception as e: print(type(e).__name__)")))
                .isEqualTo("RevisionNotFoundError\nRemoteEntryNotFoundError");
    }

    @Test
    void what_we_brought_it_finds_and_the_other_way_round() throws Exception {
        hub.put("me/tiny", files);
        Download ours = download();
        hub.seen.clear();
        assertThat(finish(python(FakeHub.TOKEN, DOWNLOAD)).lines().toList().getLast())
                .isEqualTo(ours.folder().toString());
        assertThat(hub.seen())
                .as("the commit of the branch, and no file")
                .extracting(FakeHub.Seen::path)
                .containsOnly("/api/models/me/tiny/revision/main", "/api/agent-harnesses");
        finish(python(FakeHub.TOKEN, "snapshot_download('me/tiny', local_files_only=True)"));

        deleteCache();
        assertThat(finish(python(FakeHub.TOKEN, DOWNLOAD)))
                .endsWith(ours.folder().toString());
        assertThat(download().bytesReceived()).isZero();
        assertComplete(ours.folder());
    }

    @Test
    void both_at_once_come_to_one_whole_snapshot() throws Exception {
        hub.put("me/tiny", files);
        for (int pair = 0; pair < 3; pair++) {
            deleteCache();
            Process theirs = python(FakeHub.TOKEN, DOWNLOAD);
            Thread.sleep(300L * pair);
            Download ours = download();
            finish(theirs);
            assertComplete(ours.folder());
        }
    }

    private void deleteCache() throws IOException {
        if (Files.exists(temp.resolve("cache"))) {
            try (Stream<Path> all = Files.walk(temp.resolve("cache"))) {
                all.sorted(java.util.Comparator.reverseOrder())
                        .forEach(path -> path.toFile().delete());
            }
        }
    }
}
