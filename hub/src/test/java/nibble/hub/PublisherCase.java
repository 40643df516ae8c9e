package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishRequest.Leftovers;
import nibble.hub.PublishRequest.Visibility;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.Retries;
import nibble.hub.client.TransferListener;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A model folder, and a fake hub that it is published to. */
abstract class PublisherCase {
    static final RepoName REPO = RepoName.parse("org/tiny-AWQ");

    @TempDir
    Path temp;

    final List<Duration> pauses = new ArrayList<>();

    FakeHub hub;

    Path folder;

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
        hub.partBytes = 100_000;
        folder = Files.createDirectory(temp.resolve("model"));
        Files.write(folder.resolve("model-00001-of-00002.safetensors"), random(350_001, 1));
        Files.write(folder.resolve("model-00002-of-00002.safetensors"), random(60_000, 2));
        Files.writeString(folder.resolve("config.json"), "{\"x\": \"é\"}");
        Files.writeString(folder.resolve("empty.txt"), "");
        Files.createDirectory(folder.resolve("docs"));
        Files.writeString(folder.resolve("docs/a b.md"), "words");
        Files.writeString(folder.resolve(".hidden"), "no");
    }

    @AfterEach
    void everyRequestKeptTheToken() {
        assertThat(hub.seen()).allSatisfy(request -> {
            if (request.host().equals("localhost")) {
                assertThat(request.authorization()).isEqualTo("null");
            }
        });
        hub.close();
    }

    PublishResult publish() {
        return publish(request(How.COMMIT), TransferListener.SILENT);
    }

    PublishResult publish(PublishRequest request) {
        return publish(request, TransferListener.SILENT);
    }

    PublishResult publish(PublishRequest request, TransferListener listener) {
        HubSettings settings = settings(Optional.of(HubToken.of(FakeHub.TOKEN + "\n")), false);
        return new Publisher(settings, retries()).publish(request, listener);
    }

    PublishRequest request(How how) {
        return new PublishRequest(folder, REPO, "main", Visibility.PUBLIC, how, Leftovers.KEEP, "Upload", 4);
    }

    HubSettings settings(Optional<HubToken> token, boolean offline) {
        return new HubSettings(
                URI.create(hub.endpoint()), temp.resolve("cache"), temp.resolve("state"), token, offline);
    }

    Retries retries() {
        return new Retries(5, Duration.ofSeconds(1), Duration.ofSeconds(8), pause -> {
            synchronized (pauses) {
                pauses.add(pause);
            }
        });
    }

    FakeRepository repository() {
        return hub.repositories.get(REPO.toString());
    }

    long puts() {
        return hub.seen().stream().filter(r -> r.method().equals("PUT")).count();
    }

    long ownCommits(String branch) {
        return repository().history(branch).stream()
                .filter(c -> c.title().equals("Upload"))
                .count();
    }

    void assertComplete(String branch) {
        Map<String, Path> files = new TreeMap<>(nibble.checkpoint.source.RepositoryFiles.list(folder));
        files.forEach((path, file) -> {
            try {
                assertThat(hub.content(REPO.toString(), branch, path)).as(path).isEqualTo(Files.readAllBytes(file));
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
    }

    void write(String name, String text) {
        try {
            Files.write(folder.resolve(name), text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    static Path only(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.findFirst().orElseThrow();
        }
    }

    static byte[] random(int bytes, long seed) {
        byte[] content = new byte[bytes];
        new Random(seed).nextBytes(content);
        return content;
    }
}
