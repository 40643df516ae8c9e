package nibble.hub.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.hub.FakeHub;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Logins made in a browser expire: their tokens are renewed and kept where the hub's own tools keep them, or it is
 * said.
 */
class HubLoginTest {
    private static final String OLD = "hf_oauth_OLD";
    private static final String NEW = "hf_oauth_NEW";

    @TempDir
    Path home;

    private FakeHub hub;
    private final List<String> notes = new ArrayList<>();

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
        hub.users.put(NEW, new FakeHub.User("me", List.of("org"), true));
        hub.refreshTokens.put("refreshME", NEW);
        Files.writeString(home.resolve("token"), OLD);
    }

    @AfterEach
    void stop() {
        hub.close();
    }

    private void login(Instant expires) throws IOException {
        Files.writeString(home.resolve("stored_tokens"), """
            [another]
            hf_token = hf_another

            [oauth-me]
            hf_token = %s
            refresh_token = refreshME
            expires_at = %d

            """.formatted(OLD, expires.getEpochSecond()));
    }

    private HubHttp http(Map<String, String> more) {
        Map<String, String> environment =
                new java.util.HashMap<>(Map.of("HF_HOME", home.toString(), "HF_ENDPOINT", hub.endpoint()));
        environment.putAll(more);
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
        HubSettings settings = HubSettings.fromEnvironment(environment, home, Optional.empty());
        return new HubHttp(settings, new Retries(1, Duration.ZERO, Duration.ZERO, _ -> {}), listener);
    }

    private static String name(HubHttp http) {
        return http.json(HubCall.get(http.uri("/api/whoami-v2"))).path("name").asText();
    }

    @Test
    void a_token_that_holds_for_less_than_a_day_is_exchanged_and_kept() throws IOException {
        login(Instant.now().plusSeconds(3600));
        try (HubHttp http = http(Map.of())) {
            assertThat(name(http)).isEqualTo("me");
            assertThat(name(http)).isEqualTo("me");
        }
        assertThat(hub.seen().stream().filter(r -> r.path().equals("/oauth/token")))
                .singleElement()
                .satisfies(request -> {
                    assertThat(request.authorization()).isEqualTo("null");
                    assertThat(request.body())
                            .isEqualTo(
                                    "grant_type=refresh_token&refresh_token=refreshME&client_id=" + HubLogin.CLIENT_ID);
                });
        assertThat(home.resolve("token")).hasContent(NEW);
        assertThat(home.resolve("stored_tokens"))
                .content()
                .contains(
                        "[another]\nhf_token = hf_another\n",
                        "[oauth-me]\nhf_token = " + NEW + "\nrefresh_token = refreshME2\nexpires_at = ")
                .doesNotContain(OLD);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(home.resolve("stored_tokens"))))
                .isEqualTo("rw-------");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(home.resolve("token"))))
                .isEqualTo("rw-------");
        try (HubHttp next = http(Map.of())) {
            assertThat(name(next)).isEqualTo("me");
        }
        assertThat(hub.seen().stream().filter(r -> r.path().equals("/oauth/token")))
                .as("a new token is not renewed")
                .hasSize(1);
    }

    @Test
    void a_token_that_holds_is_left_alone() throws IOException {
        login(Instant.now().plus(Duration.ofDays(20)));
        hub.users.put(OLD, new FakeHub.User("me", List.of(), true));
        try (HubHttp http = http(Map.of())) {
            assertThat(name(http)).isEqualTo("me");
        }
        assertThat(hub.seen()).hasSize(1);
    }

    @Test
    void a_token_of_the_environment_is_never_exchanged() throws IOException {
        login(Instant.EPOCH);
        try (HubHttp http = http(Map.of("HF_TOKEN", FakeHub.TOKEN))) {
            assertThat(name(http)).isEqualTo("me");
        }
        assertThat(hub.seen()).hasSize(1);
        assertThat(home.resolve("token")).hasContent(OLD);
    }

    @Test
    void a_login_that_cannot_be_renewed_is_said_and_so_is_why_the_token_is_refused() throws IOException {
        login(Instant.EPOCH);
        hub.refreshTokens.clear();
        try (HubHttp http = http(Map.of())) {
            assertThatThrownBy(() -> name(http))
                    .hasMessageContaining("HTTP 401")
                    .hasMessageContaining(
                            "the login expires at 1970-01-01T00:00:00Z: log in again with 'hf auth login'")
                    .hasMessageNotContaining(OLD);
        }
        assertThat(notes)
                .singleElement()
                .satisfies(note -> assertThat(note)
                        .contains("invalid_grant: the refresh token is not valid", "log in again with 'hf auth login'")
                        .doesNotContain("refreshME"));
        assertThat(home.resolve("token")).hasContent(OLD);
    }

    @Test
    void a_login_that_another_process_has_renewed_is_taken_over() throws IOException {
        login(Instant.EPOCH);
        try (HubHttp http = http(Map.of())) {
            Files.writeString(home.resolve("token"), NEW);
            Files.writeString(
                    home.resolve("stored_tokens"),
                    Files.readString(home.resolve("stored_tokens")).replace(OLD, NEW));
            // The settings were read before.
            hub.users.put(OLD, new FakeHub.User("before", List.of(), true));
            assertThat(name(http)).isEqualTo("me");
        }
        assertThat(hub.seen()).noneMatch(r -> r.path().equals("/oauth/token"));
    }
}
