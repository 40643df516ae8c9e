package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nibble.files.output.JournalFile;
import nibble.hub.PublishResult.Need;
import nibble.hub.client.HubException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Publishing to a fake hub that misbehaves: each case ends in the complete repository or in a clear error. */
class PublisherTest extends PublisherCase {
    @Test
    void a_new_repository_holds_every_file() {
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
    void publishing_again_sends_and_commits_nothing() {
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
    void only_what_changed_is_sent() throws IOException {
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
    void a_fault_that_passes_ends_in_the_complete_repository(Fault fault) {
        hub.faults.add(fault);

        publish();

        assertThat(fault.left.get()).as("the fault was met").isLessThanOrEqualTo(0);
        assertComplete("main");
        assertThat(ownCommits("main")).as("one commit, not two").isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 32_768, 65_535, 65_536, 65_537, 99_999})
    void a_connection_cut_at_any_byte_is_sent_again(long at) {
        hub.faults.add(Fault.of(Fault.Kind.CUT_REQUEST, "PUT", "/store/part/", at, 2));
        publish();
        assertComplete("main");
    }

    @Test
    void rate_limits_are_waited_for_as_asked() {
        hub.faults.add(Fault.status("POST", "/preupload/", 429, 1, Map.of("ratelimit", "\"api\";r=0;t=55")));
        hub.faults.add(Fault.status("POST", "/objects/batch", 429, 1, Map.of("Retry-After", "7")));
        publish();
        assertThat(pauses).contains(Duration.ofSeconds(56), Duration.ofSeconds(7));
    }

    @Test
    void pauses_double_to_eight_seconds_and_tries_end() {
        hub.faults.add(Fault.status("GET", "/api/whoami-v2", 500, 99, Map.of()));
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("/api/whoami-v2: HTTP 500")
                .hasMessageContaining("request req-7");
        assertThat(pauses).extracting(Duration::toSeconds).containsExactly(1L, 2L, 4L, 8L);
    }

    @Test
    void parts_without_etag_are_a_clear_error() {
        hub.faults.add(Fault.of(Fault.Kind.NO_ETAG, "PUT", "/store/part/", 0, 1));
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class).hasMessageContaining("without an ETag");
        assertThat(ownCommits("main")).isZero();

        publish();
        assertComplete("main");
    }

    @Test
    void content_that_arrived_wrong_is_a_clear_error_and_not_committed() {
        hub.faults.add(Fault.status("POST", "/objects/verify", 422, 1, Map.of()));
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("safetensors")
                .hasMessageContaining("does not confirm");
        assertThat(ownCommits("main")).isZero();
    }

    @Test
    void addresses_that_stay_expired_are_a_clear_error_without_their_signature() {
        hub.faults.add(Fault.status("PUT", "/store/whole/", 403, 99, Map.of()));
        assertThatThrownBy(this::publish)
                .isInstanceOf(HubException.class)
                .hasMessageContaining("403")
                .hasMessageNotContaining("SIGNED");
        assertThat(ownCommits("main")).isZero();
    }

    @Test
    void after_an_end_half_way_nothing_stored_is_sent_and_nothing_hashed_twice() throws IOException {
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
    void a_process_that_was_killed_is_gone_on_with() throws Exception {
        hub.partBytes = 20_000;
        hub.held = request -> request.path().contains("/commit/")
                || request.method().equals("PUT") && !hub.objects.isEmpty() && puts() >= 6;
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
        hub.held = _ -> false;
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
    void a_journalled_hash_is_used_as_long_as_the_file_is_the_same() throws IOException {
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
}
