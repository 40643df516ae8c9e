package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
import nibble.checkpoint.source.BadCheckpointException;
import nibble.files.output.JournalFile;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Publishing to a fake hub that misbehaves: each case ends in the complete repository or in a clear error. */
class PublisherTest {
    private static final RepoName REPO = RepoName.parse("org/tiny-AWQ");

    @TempDir
    Path temp;

    private final List<Duration> pauses = new ArrayList<>();
    private FakeHub hub;
    private Path folder;

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

    @Test
    void aNewRepositoryHoldsEveryFile() {
        PublishResult result = publish();

        assertComplete("main");
        assertThat(result.created()).isTrue();
        assertThat(result.commit()).isEqualTo(repository().branches.get("main"));
        assertThat(result.bytesSent()).isEqualTo(410_001);
        assertThat(repository().history("main")).hasSize(2);
        assertThat(repository().at("main").files()).doesNotContainKey(".hidden");
        assertThat(hub.seen().stream().filter(r -> r.method().equals("PUT")).map(FakeHub.Seen::contentLength))
                .containsExactlyInAnyOrder(100_000L, 100_000L, 100_000L, 50_001L, 60_000L);
        assertThat(temp.resolve("state")).isEmptyDirectory();
    }

    @Test
    void publishingAgainSendsAndCommitsNothing() {
        PublishResult first = publish();
        long puts = puts();

        PublishResult again = publish();

        assertThat(puts()).isEqualTo(puts);
        assertThat(again.created()).isFalse();
        assertThat(again.commit()).isEqualTo(first.commit());
        assertThat(again.files()).allMatch(file -> file.need() == Need.UNCHANGED);
        assertThat(repository().history("main")).hasSize(2);
    }

    @Test
    void onlyWhatChangedIsSent() throws IOException {
        publish();
        hub.seen.clear();
        Files.writeString(folder.resolve("config.json"), "{\"x\": 2}");

        PublishResult again = publish();

        assertComplete("main");
        assertThat(puts()).isZero();
        assertThat(again.files().stream()
                        .filter(f -> f.need() != Need.UNCHANGED)
                        .map(f -> f.path()))
                .containsExactly("config.json");
    }

    static Stream<Fault> passing() {
        return Stream.of(
                Fault.of(Fault.Kind.CUT_REQUEST, "PUT", "/store/part/", 0, 1),
                Fault.of(Fault.Kind.CUT_REQUEST, "PUT", "/store/part/", 70_000, 3),
                Fault.of(Fault.Kind.CUT_REQUEST, "PUT", "/store/whole/", 59_999, 2),
                Fault.of(Fault.Kind.LOSE_ANSWER, "PUT", "/store/part/", 0, 2),
                Fault.of(Fault.Kind.LOSE_ANSWER, "POST", "/objects/verify", 0, 1),
                Fault.of(Fault.Kind.LOSE_ANSWER, "POST", "/lfs/complete/", 0, 1),
                Fault.of(Fault.Kind.LOSE_ANSWER, "POST", "/api/repos/create", 0, 1),
                Fault.of(Fault.Kind.LOSE_ANSWER, "POST", "/commit/main", 0, 1),
                Fault.of(Fault.Kind.CUT_REQUEST, "POST", "/commit/main", 10, 1),
                Fault.of(Fault.Kind.OVERTAKE, "POST", "/commit/main", 0, 1),
                Fault.status("POST", "/commit/main", 500, 2, Map.of()),
                Fault.status("POST", "/commit/main", 429, 1, Map.of("Retry-After", "3")),
                Fault.status("PUT", "/store/part/", 403, 1, Map.of()),
                Fault.status("PUT", "/store/whole/", 403, 2, Map.of()),
                Fault.status("PUT", "/store/", 500, 3, Map.of()),
                Fault.status("PUT", "/store/", 503, 1, Map.of("Retry-After", "2")),
                Fault.status("POST", "/preupload/", 502, 2, Map.of()),
                Fault.status("POST", "/objects/batch", 500, 2, Map.of()),
                Fault.status("GET", "/api/whoami-v2", 504, 4, Map.of()),
                Fault.status("POST", "/api/repos/create", 408, 1, Map.of()));
    }

    @ParameterizedTest
    @MethodSource("passing")
    void aFaultThatPassesEndsInTheCompleteRepository(Fault fault) {
        hub.faults.add(fault);

        publish();

        assertThat(fault.left.get()).as("the fault was met").isLessThanOrEqualTo(0);
        assertComplete("main");
        assertThat(ownCommits("main")).as("one commit, not two").isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 32_768, 65_535, 65_536, 65_537, 99_999})
    void aConnectionCutAtAnyByteIsSentAgain(long at) {
        hub.faults.add(Fault.of(Fault.Kind.CUT_REQUEST, "PUT", "/store/part/", at, 2));
        publish();
        assertComplete("main");
    }

    @Test
    void rateLimitsAreWaitedForAsAsked() {
        hub.faults.add(Fault.status("POST", "/preupload/", 429, 1, Map.of("ratelimit", "\"api\";r=0;t=55")));
        hub.faults.add(Fault.status("POST", "/objects/batch", 429, 1, Map.of("Retry-After", "7")));
        publish();
        assertThat(pauses).contains(Duration.ofSeconds(56), Duration.ofSeconds(7));
    }

    @Test
    void pausesDoubleToEightSecondsAndTriesEnd() {
        hub.faults.add(Fault.status("GET", "/api/whoami-v2", 500, 99, Map.of()));
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("/api/whoami-v2: HTTP 500")
                .hasMessageContaining("request req-7");
        assertThat(pauses).extracting(Duration::toSeconds).containsExactly(1L, 2L, 4L, 8L);
    }

    @Test
    void partsWithoutETagAreAClearError() {
        hub.faults.add(Fault.of(Fault.Kind.NO_ETAG, "PUT", "/store/part/", 0, 1));
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class).hasMessageContaining("without an ETag");
        assertThat(ownCommits("main")).isZero();

        publish();
        assertComplete("main");
    }

    @Test
    void contentThatArrivedWrongIsAClearErrorAndNotCommitted() {
        hub.faults.add(Fault.status("POST", "/objects/verify", 422, 1, Map.of()));
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("safetensors")
                .hasMessageContaining("does not confirm");
        assertThat(ownCommits("main")).isZero();
    }

    @Test
    void addressesThatStayExpiredAreAClearErrorWithoutTheirSignature() {
        hub.faults.add(Fault.status("PUT", "/store/whole/", 403, 99, Map.of()));
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("403")
                .hasMessageNotContaining("SIGNED");
        assertThat(ownCommits("main")).isZero();
    }

    @Test
    void afterAnEndHalfWayNothingStoredIsSentAndNothingHashedTwice() throws IOException {
        hub.faults.add(Fault.status("POST", "/commit/main", 400, 1, Map.of()));
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class);
        long puts = puts();
        Path journal = only(temp.resolve("state"));
        assertThat(journal).content().contains("\"state\":\"stored\"").doesNotContain("SIGNED", FakeHub.TOKEN);
        // As a line is that was being written when the process ended.
        String lines = Files.readString(journal).replaceAll("(?m)^.*docs.*$\n", "");
        Files.writeString(journal, lines + "{\"path\":\"conf");
        publish();

        assertComplete("main");
        assertThat(puts()).isEqualTo(puts);
        assertThat(temp.resolve("state")).isEmptyDirectory();
    }

    @Test
    void aProcessThatWasKilledIsGoneOnWith() throws Exception {
        hub.partBytes = 20_000;
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        System.getProperty("java.class.path"),
                        PublishProcess.class.getName(),
                        hub.endpoint(),
                        temp.toString())
                .inheritIO()
                .start();
        while (process.isAlive() && (hub.objects.isEmpty() || puts() < 6)) {
            Thread.sleep(1);
        }
        process.destroyForcibly().waitFor();
        assertThat(ownCommits("main")).as("killed before the commit").isZero();
        List<String> stored = List.copyOf(hub.objects.keySet());
        hub.seen.clear();

        publish();

        assertComplete("main");
        assertThat(ownCommits("main")).isEqualTo(1);
        assertThat(stored).isNotEmpty();
        // 18 parts of the large file, 3 of the small one: those of a file that was whole are not sent again.
        assertThat(puts()).isLessThan(21);
    }

    @Test
    void aJournalledHashIsUsedAsLongAsTheFileIsTheSame() throws IOException {
        hub.faults.add(Fault.status("POST", "/objects/batch", 422, 99, Map.of()));
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class);
        Path journal = only(temp.resolve("state"));
        String config = FakeRepository.hex("SHA-256", Files.readAllBytes(folder.resolve("config.json")));
        try (JournalFile<UploadJournal.Entry> file = JournalFile.read(journal, UploadJournal.Entry.class)) {
            file.replace(file.entries().stream()
                    .map(e -> e.sha256().equals(config)
                            ? new UploadJournal.Entry(
                                    e.path(), e.bytes(), e.modifiedMillis(), "0".repeat(64), e.state())
                            : e)
                    .toList());
        }
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class);
        assertThat(journal).content().contains("0".repeat(64));
        hub.faults.clear();

        Files.writeString(folder.resolve("config.json"), "{\"another\": 1}");
        PublishResult result = publish();
        assertThat(result.files()).noneMatch(file -> file.sha256().startsWith("0000"));
        assertComplete("main");
    }

    @Test
    void aBranchOfAnotherNameHoldsNothingOfMain() throws IOException {
        publish();
        Files.delete(folder.resolve("model-00002-of-00002.safetensors"));
        Files.write(folder.resolve("model-00001-of-00002.safetensors"), random(120_000, 5));

        publish(new PublishRequest(
                folder, REPO, "awq-32g", Visibility.PUBLIC, How.COMMIT, Leftovers.KEEP, "group size 32", 4));

        assertComplete("awq-32g");
        assertThat(repository().at("awq-32g").files()).doesNotContainKey("model-00002-of-00002.safetensors");
        assertThat(repository().at("main").files()).containsKey("model-00002-of-00002.safetensors");
    }

    @Test
    void weightsOfAnEarlierVersionAreNamedAndDeletedOnlyIfAsked() throws IOException {
        publish();
        Files.delete(folder.resolve("model-00002-of-00002.safetensors"));

        assertThat(publish().leftovers()).containsExactly("model-00002-of-00002.safetensors");
        assertThat(repository().at("main").files()).containsKey("model-00002-of-00002.safetensors");

        publish(new PublishRequest(folder, REPO, "main", Visibility.PUBLIC, How.COMMIT, Leftovers.DELETE, "new", 4));
        assertThat(repository().at("main").files())
                .doesNotContainKey("model-00002-of-00002.safetensors")
                .containsKey(".gitattributes");
    }

    @Test
    void aPullRequestLeavesTheBranchAlone() {
        publish();
        String before = repository().branches.get("main");
        write("config.json", "{}");

        PublishResult result = publish(request(How.PULL_REQUEST), TransferListener.SILENT);

        assertThat(repository().branches.get("main")).isEqualTo(before);
        assertThat(repository().pullRequests).hasSize(1);
        assertThat(result.url()).contains("/discussions/1");
    }

    @Test
    void aLostAnswerToAPullRequestIsAClearErrorAndNotRepeated() {
        publish();
        write("config.json", "{}");
        hub.faults.add(Fault.of(Fault.Kind.LOSE_ANSWER, "POST", "/commit/main", 0, 1));
        assertThatThrownBy(() -> publish(request(How.PULL_REQUEST), TransferListener.SILENT))
                .hasMessageContaining("it may exist: look at the discussions");
        assertThat(repository().pullRequests).hasSize(1);
    }

    @Test
    void aDryRunChangesNothing() {
        PublishResult result = publish(request(How.DRY_RUN), TransferListener.SILENT);
        assertThat(hub.repositories).isEmpty();
        assertThat(result.created()).isTrue();
        assertThat(result.files()).hasSize(5);
        assertThat(hub.seen()).allMatch(r -> r.method().equals("GET"));

        publish();
        write("config.json", "{}");
        result = publish(request(How.DRY_RUN), TransferListener.SILENT);
        assertThat(result.files().stream().filter(f -> f.need() == Need.IN_COMMIT))
                .hasSize(1);
        assertThat(ownCommits("main")).isEqualTo(1);
    }

    @Test
    void aPrivateRepositoryIsMadePrivate() {
        publish(new PublishRequest(folder, REPO, "main", Visibility.PRIVATE, How.COMMIT, Leftovers.KEEP, "m", 4));
        assertThat(repository().isPrivate).isTrue();
    }

    @Test
    void aTokenThatTheHubDoesNotTakeIsNotRepeatedInTheMessage() {
        HubSettings wrong = settings(Optional.of(HubToken.of("hf_WRONGwrong")), false);
        assertThat(wrong.toString()).doesNotContain("WRONG");
        assertThatThrownBy(() -> new Publisher(wrong, retries()).publish(request(How.COMMIT), TransferListener.SILENT))
                .isInstanceOf(HubException.class)
                .hasMessageContaining("HTTP 401")
                .hasMessageContaining("write access")
                .hasMessageNotContaining("WRONG");
    }

    @Test
    void withoutATokenOrOnlineNothingIsTried() {
        assertThatThrownBy(() -> new Publisher(settings(Optional.empty(), false), retries())
                        .publish(request(How.COMMIT), TransferListener.SILENT))
                .hasMessageContaining("HF_TOKEN");
        assertThatThrownBy(() -> new Publisher(settings(Optional.of(HubToken.of("t")), true), retries())
                        .publish(request(How.COMMIT), TransferListener.SILENT))
                .hasMessageContaining("HF_HUB_OFFLINE");
        assertThat(hub.seen()).isEmpty();
    }

    @Test
    void anOwnerThatIsNotYoursIsAClearError() {
        assertThatThrownBy(() -> publish(new PublishRequest(
                        folder,
                        RepoName.parse("other/x"),
                        "main",
                        Visibility.PUBLIC,
                        How.COMMIT,
                        Leftovers.KEEP,
                        "m",
                        4)))
                .isInstanceOf(HubException.class)
                .hasMessageContaining("HTTP 403")
                .hasMessageContaining("you are not in other");
    }

    @Test
    void aRedirectOfAnUploadToAnotherHostIsNotFollowed() {
        hub.faults.add(Fault.status("POST", "/preupload/", 307, 1, Map.of("Location", hub.storeEndpoint() + "/steal")));
        assertThatThrownBy(this::publish).hasMessageContaining("redirected to another host");
        assertThat(hub.seen()).noneMatch(r -> r.path().equals("/steal"));
    }

    @Test
    void aRedirectOfAReadToAnotherHostGoesWithoutTheToken() {
        hub.faults.add(
                Fault.status("GET", "/api/whoami-v2", 302, 1, Map.of("Location", hub.storeEndpoint() + "/store/x/y")));
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class);
        assertThat(hub.seen().getLast()).satisfies(r -> {
            assertThat(r.host()).isEqualTo("localhost");
            assertThat(r.authorization()).isEqualTo("null");
        });
    }

    @Test
    void aFileThatChangesWhileItIsSentIsNotCommitted() {
        TransferListener changer = new TransferListener() {
            @Override
            public void stage(String what) {
                if (what.startsWith("sending")) {
                    write("config.json", "{\"changed\": true}");
                }
            }

            @Override
            public void bytes(long done, long total) {}
        };
        assertThatThrownBy(() -> publish(request(How.COMMIT), changer))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("changed while");
        assertThat(ownCommits("main")).isZero();
    }

    private PublishResult publish() {
        return publish(request(How.COMMIT), TransferListener.SILENT);
    }

    private PublishResult publish(PublishRequest request) {
        return publish(request, TransferListener.SILENT);
    }

    private PublishResult publish(PublishRequest request, TransferListener listener) {
        HubSettings settings = settings(Optional.of(HubToken.of(FakeHub.TOKEN + "\n")), false);
        return new Publisher(settings, retries()).publish(request, listener);
    }

    private PublishRequest request(How how) {
        return new PublishRequest(folder, REPO, "main", Visibility.PUBLIC, how, Leftovers.KEEP, "Upload", 4);
    }

    private HubSettings settings(Optional<HubToken> token, boolean offline) {
        return new HubSettings(
                URI.create(hub.endpoint()), temp.resolve("cache"), temp.resolve("state"), token, offline);
    }

    private Retries retries() {
        return new Retries(5, Duration.ofSeconds(1), Duration.ofSeconds(8), pause -> {
            synchronized (pauses) {
                pauses.add(pause);
            }
        });
    }

    private FakeRepository repository() {
        return hub.repositories.get(REPO.toString());
    }

    private long puts() {
        return hub.seen().stream().filter(r -> r.method().equals("PUT")).count();
    }

    private long ownCommits(String branch) {
        return repository().history(branch).stream()
                .filter(c -> c.title().equals("Upload"))
                .count();
    }

    private void assertComplete(String branch) {
        Map<String, Path> files = new TreeMap<>(nibble.checkpoint.source.RepositoryFiles.list(folder));
        files.forEach((path, file) -> {
            try {
                assertThat(hub.content(REPO.toString(), branch, path)).as(path).isEqualTo(Files.readAllBytes(file));
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
    }

    private void write(String name, String text) {
        try {
            Files.write(folder.resolve(name), text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static Path only(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.findFirst().orElseThrow();
        }
    }

    private static byte[] random(int bytes, long seed) {
        byte[] content = new byte[bytes];
        new Random(seed).nextBytes(content);
        return content;
    }
}
