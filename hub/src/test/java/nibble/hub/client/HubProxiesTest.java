package nibble.hub.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import nibble.hub.FakeHub;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Which proxy is taken: the values are those of httpx 0.28.1, by which the hub's own client goes, but where said
 * otherwise.
 */
class HubProxiesTest {
    private static Optional<URI> proxy(Map<String, String> environment, String target) {
        return HubProxies.of(environment).proxy(URI.create(target));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "example.com         | http://example.com/        | none",
                "example.com         | http://www.example.com/    | none",
                "example.com         | http://wwwexample.com/     | http://p:1",
                ".example.com        | http://example.com/        | http://p:1",
                ".example.com        | http://a.example.com/      | none",
                "example.com:8080    | http://example.com/        | http://p:1",
                "example.com:8080    | http://example.com:8080/   | none",
                "localhost           | http://localhost:1/        | none",
                "localhost           | http://a.localhost/        | http://p:1",
                "127.0.0.1           | http://127.0.0.1:9/        | none",
                "127.0.0.1           | http://10.127.0.0.1.nip.io | http://p:1",
                "::1                 | http://[::1]:8/            | none",
                "*                   | https://x.y/               | none",
                "'a, B.c ,d'         | http://b.C/                | none",
                "http://example.com  | http://example.com/        | none",
                "http://example.com  | http://www.example.com/    | http://p:1",
                "http://example.com  | https://example.com/       | http://p:2",
                "com                 | http://example.com/        | none",
                "''                  | http://127.0.0.1/          | http://p:1",
                // Ranges and *. are more than httpx knows; curl and the variables' users do.
                "10.0.0.0/8          | http://10.1.2.3/           | none",
                "10.0.0.0/8          | http://11.1.2.3/           | http://p:1",
                "192.168.4.0/22      | http://192.168.7.9/        | none",
                "192.168.4.0/22      | http://192.168.8.9/        | http://p:1",
                "fd00::/8            | http://[fd12::3]/          | none",
                "10.0.0.0/8          | http://ten.example.com/    | http://p:1",
                "*.example.com       | http://a.example.com/      | none",
            })
    void no_proxy_names_the_hosts_that_are_reached_without_one(String exceptions, String target, String expected) {
        Map<String, String> environment =
                Map.of("http_proxy", "http://p:1", "https_proxy", "http://p:2", "no_proxy", exceptions);
        assertThat(proxy(environment, target).map(URI::toString).orElse("none")).isEqualTo(expected);
    }

    @Test
    void lower_case_goes_first_and_an_empty_value_means_none() {
        assertThat(proxy(Map.of("HTTP_PROXY", "http://up:1"), "http://x/")).contains(URI.create("http://up:1"));
        assertThat(proxy(Map.of("HTTP_PROXY", "http://up:1", "http_proxy", "http://low:2"), "http://x/"))
                .contains(URI.create("http://low:2"));
        assertThat(proxy(Map.of("HTTP_PROXY", "http://up:1", "http_proxy", ""), "http://x/"))
                .isEmpty();
        assertThat(proxy(Map.of("HTTP_PROXY", "http://up:1"), "https://x/")).isEmpty();
        assertThat(proxy(Map.of("HTTPS_PROXY", "h:1"), "https://x/")).contains(URI.create("http://h:1"));
        Map<String, String> all = Map.of("ALL_PROXY", "u:p@h:3", "https_proxy", "http://s:4");
        assertThat(proxy(all, "http://x/")).contains(URI.create("http://u:p@h:3"));
        assertThat(proxy(all, "https://x/")).contains(URI.create("http://s:4"));
        assertThat(proxy(Map.of(), "https://x/")).isEmpty();
    }

    @Test
    void what_is_no_usable_address_is_said_without_its_password() {
        assertThatThrownBy(() -> HubProxies.of(Map.of("ALL_PROXY", "socks5://u:secret@h:1")))
                .hasMessageContaining("ALL_PROXY asks for a proxy of the kind socks5://")
                .hasMessageNotContaining("secret");
        assertThatThrownBy(() -> HubProxies.of(Map.of("https_proxy", "http://u:se cret@h:1")))
                .hasMessageContaining("https_proxy is not a proxy's address")
                .hasMessageNotContaining("cret");
    }

    private static HubSettings settings(Path temp, String endpoint, Map<String, String> more) {
        Map<String, String> environment = new java.util.HashMap<>(more);
        environment.put("HF_ENDPOINT", endpoint);
        environment.put("HF_TOKEN", FakeHub.TOKEN);
        return HubSettings.fromEnvironment(environment, temp, Optional.empty());
    }

    private static Retries once() {
        return new Retries(1, Duration.ZERO, Duration.ZERO, _ -> {});
    }

    @Test
    void requests_go_through_the_proxy_with_the_name_and_password_of_its_address() throws Exception {
        try (FakeHub proxy = new FakeHub()) {
            String address = proxy.endpoint().replace("http://", "HTTP://us%40er:p%3Aw@");
            HubSettings settings = settings(Path.of("nowhere"), "http://hub.invalid", Map.of("HTTP_PROXY", address));
            try (HubHttp http = new HubHttp(settings, once(), TransferListener.SILENT)) {
                assertThat(http.json(HubCall.get(http.uri("/api/whoami-v2")))
                                .path("name")
                                .asText())
                        .isEqualTo("me");
            }
            assertThat(proxy.seen().getFirst().host()).isEqualTo("hub.invalid");
            // us@er:p:w
            assertThat(proxy.seen().getFirst().proxyAuthorization()).isEqualTo("Basic dXNAZXI6cDp3");
            assertThat(proxy.seen().getFirst().authorization()).isEqualTo("Bearer " + FakeHub.TOKEN);
        }
    }

    @Test
    void an_https_hub_is_asked_through_a_tunnel_that_sees_the_proxys_password_and_not_the_token() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
            StringBuilder head = new StringBuilder();
            Thread proxy = Thread.ofVirtual().start(() -> {
                try (Socket socket = server.accept()) {
                    InputStream in = socket.getInputStream();
                    while (head.indexOf("\r\n\r\n") < 0) {
                        head.append((char) in.read());
                    }
                    socket.getOutputStream()
                            .write("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
                                    .getBytes(StandardCharsets.US_ASCII));
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            String address = "http://me:secret@127.0.0.1:" + server.getLocalPort();
            HubSettings settings = settings(Path.of("nowhere"), "https://hub.invalid", Map.of("HTTPS_PROXY", address));
            try (HubHttp http = new HubHttp(settings, once(), TransferListener.SILENT)) {
                assertThatThrownBy(() -> http.send(HubCall.get(http.uri("/api/whoami-v2"))))
                        .isInstanceOf(HubException.class)
                        .hasMessageNotContaining("secret");
            }
            proxy.join();
            assertThat(head.toString())
                    .startsWith("CONNECT hub.invalid:443 ")
                    .contains("Proxy-Authorization: Basic bWU6c2VjcmV0")
                    .doesNotContain(FakeHub.TOKEN);
        }
    }
}
