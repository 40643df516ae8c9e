package nibble.hub.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import nibble.hub.FakeHub;
import nibble.hub.Fault;
import org.junit.jupiter.api.Test;

/** How long is waited, and that it is said. */
class RetriesTest {
    private static final String LEFT = "\"api\";r=432;t=185";
    private static final String NONE_LEFT = "\"api\";r=0;t=55";

    private static Optional<Duration> asked(int status, String... headers) {
        Map<String, List<String>> fields = new java.util.TreeMap<>();
        for (int i = 0; i < headers.length; i += 2) {
            fields.put(headers[i], List.of(headers[i + 1]));
        }
        return Retries.asked(HttpHeaders.of(fields, (_, _) -> true), status);
    }

    @Test
    void a_rate_limit_is_waited_for_only_when_it_refused_and_no_requests_are_left() {
        assertThat(asked(429, "RateLimit", NONE_LEFT)).contains(Duration.ofSeconds(56));
        assertThat(asked(429, "RateLimit", NONE_LEFT, "Retry-After", "3")).contains(Duration.ofSeconds(56));
        assertThat(asked(429, "RateLimit", LEFT)).isEmpty();
        assertThat(asked(429, "RateLimit", LEFT, "Retry-After", "3")).contains(Duration.ofSeconds(3));
        assertThat(asked(503, "RateLimit", LEFT)).isEmpty();
        assertThat(asked(503, "RateLimit", NONE_LEFT)).isEmpty();
        assertThat(asked(503, "RateLimit", LEFT, "Retry-After", "7")).contains(Duration.ofSeconds(7));
        assertThat(asked(429, "RateLimit", "\"api\"; r = 0 ; t = 9")).contains(Duration.ofSeconds(10));
        assertThat(asked(500)).isEmpty();
    }

    @Test
    void retry_after_may_be_a_date() {
        assertThat(asked(503, "Retry-After", "Wed, 21 Oct 2015 07:28:30 GMT", "Date", "Wed, 21 Oct 2015 07:28:00 GMT"))
                .contains(Duration.ofSeconds(30));
        assertThat(asked(503, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT", "Date", "Wed, 21 Oct 2015 07:29:00 GMT"))
                .contains(Duration.ZERO);
        assertThat(asked(503, "Retry-After", "soon")).isEmpty();
    }

    private final List<String> notes = new ArrayList<>();
    private final List<Duration> pauses = new ArrayList<>();

    private HubHttp http(FakeHub hub) {
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
        HubSettings settings = new HubSettings(
                URI.create(hub.endpoint()), Path.of("c"), Path.of("s"), Optional.of(HubToken.of(FakeHub.TOKEN)), false);
        return new HubHttp(
                settings, new Retries(5, Duration.ofSeconds(1), Duration.ofSeconds(8), pauses::add), listener);
    }

    @Test
    void each_wait_is_said_before_it_begins() throws IOException {
        try (FakeHub hub = new FakeHub();
                HubHttp http = http(hub)) {
            hub.faults.add(Fault.status("GET", "/api/whoami-v2", 503, 2, Map.of()));
            http.send(HubCall.get(http.uri("/api/whoami-v2?x=secret")));
            // The hub states its limit with every answer; 432 requests are left.
            assertThat(pauses).containsExactly(Duration.ofSeconds(1), Duration.ofSeconds(2));
            assertThat(notes).hasSize(2);
            assertThat(notes.getFirst())
                    .isEqualTo("GET " + hub.endpoint() + "/api/whoami-v2: HTTP 503; next try in 1 s (2 of 5)");
            assertThat(notes.getLast()).endsWith("next try in 2 s (3 of 5)");
        }
    }

    @Test
    void a_hub_that_asks_for_more_than_ten_minutes_is_not_waited_for() throws IOException {
        try (FakeHub hub = new FakeHub();
                HubHttp http = http(hub)) {
            hub.faults.add(Fault.status("GET", "/api/whoami-v2", 429, 1, Map.of("Retry-After", "3600")));
            assertThatThrownBy(() -> http.send(HubCall.get(http.uri("/api/whoami-v2"))))
                    .hasMessageContaining("the hub asks to wait 3600 s, run again then");
            assertThat(pauses).isEmpty();
        }
    }

    @Test
    void a_hub_that_is_not_there_is_not_tried_again_and_again() throws IOException {
        HubHttp http;
        try (FakeHub hub = new FakeHub()) {
            http = http(hub);
        }
        try (http) {
            assertThatThrownBy(() -> http.send(HubCall.get(http.uri("/api/whoami-v2"))))
                    .hasMessageContaining("no answer (connection refused); check the network and run again");
        }
        assertThat(pauses).isEmpty();
        assertThat(notes).isEmpty();
    }

    @Test
    void a_hub_that_has_answered_is_waited_for_when_it_is_gone() throws IOException {
        FakeHub hub = new FakeHub();
        try (HubHttp http = http(hub)) {
            http.send(HubCall.get(http.uri("/api/whoami-v2")));
            hub.close();
            assertThatThrownBy(() -> http.send(HubCall.get(http.uri("/api/whoami-v2"))))
                    .hasMessageContaining("in 5 tries");
        }
        assertThat(pauses.stream().map(Duration::toSeconds).collect(Collectors.toList()))
                .containsExactly(1L, 2L, 4L, 8L);
    }
}
