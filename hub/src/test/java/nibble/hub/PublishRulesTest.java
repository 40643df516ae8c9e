package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishRequest.Leftovers;
import nibble.hub.PublishRequest.Visibility;
import nibble.hub.PublishResult.Need;
import nibble.hub.client.HubException;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.Retries;
import nibble.hub.client.TransferListener;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The hub's rules about who may publish what, and its habits; what cannot end well is refused before anything is sent.
 */
class PublishRulesTest {
    private static final RepoName REPO = RepoName.parse("org/tiny-AWQ");

    @TempDir
    Path temp;

    private final List<Duration> pauses = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private FakeHub hub;
    private Path folder;

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
        folder = Files.createDirectory(temp.resolve("model"));
        byte[] weights = new byte[30_000];
        new java.util.Random(1).nextBytes(weights);
        Files.write(folder.resolve("model.safetensors"), weights);
        Files.writeString(folder.resolve("config.json"), "{}");
    }

    @AfterEach
    void stop() {
        assertThat(hub.seen()).allSatisfy(request -> {
            if (!request.host().equals("127.0.0.1")) {
                assertThat(request.authorization()).isEqualTo("null");
            }
        });
        hub.close();
    }

    private PublishResult publish(How how, Visibility visibility, String token, boolean offline) {
        HubSettings settings = new HubSettings(
                URI.create(hub.endpoint()),
                temp.resolve("cache"),
                temp.resolve("state"),
                token.isEmpty() ? Optional.empty() : Optional.of(HubToken.of(token)),
                offline);
        Retries retries = new Retries(5, Duration.ofSeconds(1), Duration.ofSeconds(8), pauses::add);
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
        return new Publisher(settings, retries)
                .publish(
                        new PublishRequest(folder, REPO, "main", visibility, how, Leftovers.KEEP, "Upload", 4),
                        listener);
    }

    private PublishResult publish() {
        return publish(How.COMMIT, Visibility.PUBLIC, FakeHub.TOKEN, false);
    }

    private long stored() {
        return hub.seen().stream().filter(r -> r.method().equals("PUT")).count();
    }

    private FakeRepository repository() {
        return hub.repositories.get(REPO.toString());
    }

    @Test
    void a_pull_request_needs_no_right_to_write_to_the_repository() {
        hub.put(REPO.toString(), Map.of("config.json", new byte[] {'x'}));
        String before = repository().branches.get("main");

        PublishResult result = publish(How.PULL_REQUEST, Visibility.PUBLIC, FakeHub.OTHER_TOKEN, false);

        assertThat(result.url()).endsWith("/org/tiny-AWQ/discussions/1");
        assertThat(result.committed()).isTrue();
        assertThat(repository().branches.get("main")).isEqualTo(before);
        assertThat(hub.content(REPO.toString(), "refs/pr/1", "model.safetensors"))
                .hasSize(30_000);
        assertThat(hub.seen()).noneMatch(r -> r.path().equals("/api/repos/create"));
        assertThat(hub.seen().stream().filter(r -> r.path().contains("/preupload/")))
                .allMatch(r -> r.query().equals("create_pr=1"));
        assertThat(hub.seen().stream().filter(r -> r.path().endsWith("/batch")))
                .noneMatch(r -> r.body().contains("\"ref\""));
    }

    @Test
    void a_pull_request_to_what_is_there_already_is_none_and_the_result_says_so() {
        publish();
        PublishResult result = publish(How.PULL_REQUEST, Visibility.PUBLIC, FakeHub.OTHER_TOKEN, false);
        assertThat(result.committed()).isFalse();
        assertThat(repository().pullRequests).isEmpty();
        assertThat(publish().committed()).isFalse();
    }

    @Test
    void a_commit_needs_it_and_is_refused_before_hashing() {
        hub.put(REPO.toString(), Map.of("config.json", new byte[] {'x'}));
        assertThatThrownBy(() -> publish(How.COMMIT, Visibility.PUBLIC, FakeHub.OTHER_TOKEN, false))
                .hasMessageContaining("HTTP 403")
                .hasMessageContaining("you don't have write access");
        assertThat(temp.resolve("state"))
                .isDirectoryContaining(file -> file.toFile().length() == 0);
        assertThat(stored()).isZero();
    }

    @Test
    void a_token_that_may_only_read_is_refused_at_once() {
        assertThatThrownBy(() -> publish(How.COMMIT, Visibility.PUBLIC, FakeHub.READ_TOKEN, false))
                .hasMessageContaining("the token of me may only read; make one with write access");
        assertThat(hub.seen()).hasSize(1);
    }

    @Test
    void a_public_repository_is_not_published_to_as_a_private_one() {
        hub.put(REPO.toString(), Map.of("a.txt", new byte[] {'x'}));
        for (How how : How.values()) {
            assertThatThrownBy(() -> publish(how, Visibility.PRIVATE, FakeHub.TOKEN, false))
                    .hasMessageContaining("exists and is public, but --private was given; nothing was sent");
        }
        assertThat(stored()).isZero();
        assertThat(repository().history("main")).hasSize(2);
    }

    @Test
    void a_private_one_is() {
        publish(How.COMMIT, Visibility.PRIVATE, FakeHub.TOKEN, false);
        assertThat(repository().isPrivate).isTrue();
        assertThat(publish(How.COMMIT, Visibility.PRIVATE, FakeHub.TOKEN, false).committed())
                .isFalse();
    }

    @Test
    void a_conflict_while_a_repository_is_made_is_tried_again() {
        hub.faults.add(Fault.status("POST", "/api/repos/create", 409, 2, Map.of()));
        assertThat(publish().created()).isTrue();
        assertThat(pauses).containsExactly(Duration.ofSeconds(1), Duration.ofSeconds(2));
    }

    @Test
    void a_file_of_more_than_fifty_gigabytes_is_refused_before_anything_is_sent() throws IOException {
        try (RandomAccessFile large =
                new RandomAccessFile(folder.resolve("model-Q8_0.gguf").toFile(), "rw")) {
            // Sparse: it takes no space.
            large.setLength(50_000_000_001L);
        }
        assertThatThrownBy(this::publish)
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("model-Q8_0.gguf: 50000000001 bytes, the hub takes files of at most 50000000000")
                .hasMessageContaining("llama-gguf-split");
        Files.move(folder.resolve("model-Q8_0.gguf"), folder.resolve("large.safetensors"));
        assertThatThrownBy(this::publish).hasMessageContaining("a smaller --max-shard-size");
        assertThat(hub.seen()).isEmpty();
    }

    @Test
    void the_cards_metadata_is_checked_before_anything_is_sent() throws IOException {
        Files.writeString(folder.resolve("README.md"), "---\nlicense: llama-9\n---\n# Model\n");
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("README.md: the hub refuses its metadata: ")
                .hasMessageContaining("HTTP 400, \"\"license\" must be one of [apache-2.0, mit, ...]\"")
                .hasMessageContaining("nothing was sent");
        assertThat(hub.repositories).isEmpty();
        assertThat(stored()).isZero();

        Files.writeString(folder.resolve("README.md"), "---\nlicense: apache-2.0  # note\n---\n# Model\n");
        publish();
        assertThat(notes).isEmpty();
        Files.writeString(folder.resolve("README.md"), "# Model\n");
        publish();
        assertThat(notes).containsExactly("README.md: the hub says: empty or missing yaml metadata in repo card");
    }

    @Test
    void a_hub_that_does_not_check_cards_gets_them_unchecked() throws IOException {
        Files.writeString(folder.resolve("README.md"), "# Model\n");
        hub.faults.add(Fault.status("POST", "/api/validate-yaml", 404, 1, Map.of()));
        assertThat(publish().committed()).isTrue();
    }

    @Test
    void empty_files_are_published_once() throws IOException {
        Files.write(folder.resolve("empty.bin"), new byte[0]);
        Files.write(folder.resolve("empty.txt"), new byte[0]);
        publish();
        assertThat(hub.content(REPO.toString(), "main", "empty.bin")).isEmpty();
        PublishResult again = publish();
        assertThat(again.committed()).isFalse();
        assertThat(again.files()).allMatch(file -> file.need() == Need.UNCHANGED);
    }

    @Test
    void addresses_that_have_expired_are_asked_for_anew() {
        hub.partBytes = 10_000;
        hub.expiringAddresses.set(2);
        publish();
        assertThat(hub.content(REPO.toString(), "main", "model.safetensors")).hasSize(30_000);
        assertThat(hub.seen().stream().filter(r -> r.path().endsWith("/batch"))).hasSize(3);
    }

    @Test
    void a_mirror_that_hands_on_the_hubs_own_addresses_is_asked_itself() {
        hub.ownAddress = "https://huggingface.co";
        hub.partBytes = 10_000;
        PublishResult result = publish();
        assertThat(hub.content(REPO.toString(), "main", "model.safetensors")).hasSize(30_000);
        assertThat(result.commit()).isEqualTo(repository().branches.get("main"));
        assertThat(hub.seen().stream().map(FakeHub.Seen::path))
                .anyMatch(p -> p.contains("/lfs/complete/"))
                .anyMatch(p -> p.endsWith("/objects/verify"));
        // Pages of listings too: two files a page.
        hub.put(
                REPO.toString(),
                Map.of("old.safetensors", new byte[] {0, 1}, "a", new byte[] {'a'}, "b", new byte[] {'b'}));
        assertThat(publish().leftovers()).containsExactly("old.safetensors");
    }

    @Test
    void parts_are_joined_at_a_signed_address_without_the_token_and_verified_with_it() {
        hub.partBytes = 10_000;
        publish();
        assertThat(hub.seen().stream().filter(r -> r.path().contains("/lfs/complete/")))
                .singleElement()
                .satisfies(r -> assertThat(r.authorization()).isEqualTo("null"));
        assertThat(hub.seen().stream().filter(r -> r.path().endsWith("/objects/verify")))
                .singleElement()
                .satisfies(r -> assertThat(r.authorization()).isEqualTo("Bearer " + FakeHub.TOKEN));
    }

    @Test
    void another_host_that_joins_and_verifies_never_gets_the_token() {
        hub.ownAddress = hub.storeEndpoint();
        hub.partBytes = 10_000;
        assertThat(publish().committed()).isTrue();
        assertThat(hub.seen().stream().filter(r -> r.path().endsWith("/objects/verify")))
                .singleElement()
                .satisfies(r -> {
                    assertThat(r.host()).isEqualTo("localhost");
                    assertThat(r.authorization()).isEqualTo("null");
                });
    }

    @Test
    void a_renamed_repository_is_followed_at_the_hub() {
        publish();
        hub.renamed.put("org/old", REPO.toString());
        HubSettings settings = new HubSettings(
                URI.create(hub.endpoint()),
                temp.resolve("c"),
                temp.resolve("s"),
                Optional.of(HubToken.of(FakeHub.TOKEN)),
                false);
        hub.repositories.put("org/old", new FakeRepository(false));
        PublishResult result = new Publisher(settings)
                .publish(
                        new PublishRequest(
                                folder,
                                RepoName.parse("org/old"),
                                "main",
                                Visibility.PUBLIC,
                                How.COMMIT,
                                Leftovers.KEEP,
                                "Upload",
                                4),
                        TransferListener.SILENT);
        assertThat(result.committed()).isFalse();
    }

    @Test
    void a_token_in_an_address_that_we_are_sent_to_is_not_repeated() {
        String elsewhere = "http://user:pass@other.invalid/" + FakeHub.TOKEN + "/x?token=" + FakeHub.TOKEN;
        hub.faults.add(Fault.status("POST", "/preupload/", 307, 1, Map.of("Location", elsewhere)));
        assertThatThrownBy(this::publish)
                .hasMessageContaining("redirected to another host, http://other.invalid/<token>/x;")
                .hasMessageNotContaining(FakeHub.TOKEN)
                .hasMessageNotContaining("pass@");
        hub.faults.add(Fault.status("GET", "/api/whoami-v2", 302, 1, Map.of("Location", "ftp://h/" + FakeHub.TOKEN)));
        assertThatThrownBy(this::publish).hasMessageContaining("redirected to ftp://h/<token>; not followed");
        hub.faults.add(Fault.status("GET", "/api/whoami-v2", 302, 1, Map.of("Location", "http://h/ " + FakeHub.TOKEN)));
        assertThatThrownBy(this::publish)
                .hasMessageContaining("malformed address")
                .hasMessageNotContaining(FakeHub.TOKEN);
        hub.faults.add(Fault.status(
                "GET", "/api/whoami-v2", 400, 1, Map.of("X-Error-Message", "bad: Bearer " + FakeHub.TOKEN)));
        assertThatThrownBy(this::publish).hasMessageContaining("bad: Bearer <token>");
    }

    @Test
    void a_dry_run_without_a_token_or_offline_lists_what_would_go() {
        for (boolean offline : new boolean[] {false, true}) {
            PublishResult plan = publish(How.DRY_RUN, Visibility.PUBLIC, offline ? FakeHub.TOKEN : "", offline);
            assertThat(plan.files())
                    .extracting(PublishResult.PublishedFile::path)
                    .containsExactly("config.json", "model.safetensors");
            assertThat(plan.files())
                    .extracting(PublishResult.PublishedFile::need)
                    .containsExactly(Need.IN_COMMIT, Need.STORED);
        }
        assertThat(notes).hasSize(2);
        assertThat(notes.getFirst()).endsWith("since there is no token");
        assertThat(notes.getLast()).contains("OFFLINE");
        assertThat(hub.seen()).isEmpty();
    }
}
