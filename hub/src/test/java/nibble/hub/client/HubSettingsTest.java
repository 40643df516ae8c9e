package nibble.hub.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HubSettingsTest {
    @TempDir
    Path home;

    private HubSettings settings(Map<String, String> environment) {
        return HubSettings.fromEnvironment(environment, home, Optional.empty());
    }

    private static String token(HubSettings settings) {
        return settings.token().map(HubToken::header).orElse("none");
    }

    @Test
    void without_variables_the_standard_places_are_used() {
        HubSettings found = settings(Map.of());
        assertThat(found.endpoint()).isEqualTo(URI.create("https://huggingface.co"));
        assertThat(found.cache()).isEqualTo(home.resolve(".cache/huggingface/hub"));
        assertThat(found.offline()).isFalse();
        assertThat(token(found)).isEqualTo("none");
    }

    @Test
    void the_token_comes_from_flag_then_variables_then_file() throws IOException {
        Files.createDirectories(home.resolve(".cache/huggingface"));
        Files.writeString(home.resolve(".cache/huggingface/token"), "filed\n");
        Files.writeString(home.resolve("other"), " elsewhere \r\n");
        assertThat(token(settings(Map.of()))).isEqualTo("Bearer filed");
        assertThat(token(settings(Map.of("HF_TOKEN_PATH", home.resolve("other").toString()))))
                .isEqualTo("Bearer elsewhere");
        assertThat(token(settings(Map.of("HUGGING_FACE_HUB_TOKEN", "old")))).isEqualTo("Bearer old");
        assertThat(token(settings(Map.of("HUGGING_FACE_HUB_TOKEN", "old", "HF_TOKEN", " new\n"))))
                .isEqualTo("Bearer new");
        assertThat(token(settings(Map.of("HF_TOKEN", "new", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"))))
                .isEqualTo("none");
        assertThat(token(HubSettings.fromEnvironment(Map.of("HF_TOKEN", "new"), home, Optional.of("flag"))))
                .isEqualTo("Bearer flag");
    }

    @Test
    void folders_follow_the_variables_of_the_hubs_tools() {
        assertThat(settings(Map.of("XDG_CACHE_HOME", "/x")).cache()).isEqualTo(Path.of("/x/huggingface/hub"));
        assertThat(settings(Map.of("XDG_CACHE_HOME", "/x", "HF_HOME", "~/h")).cache())
                .isEqualTo(home.resolve("h/hub"));
        assertThat(settings(Map.of("HF_HOME", "/h", "HF_HUB_CACHE", "/c")).cache())
                .isEqualTo(Path.of("/c"));
        assertThat(settings(Map.of("HF_ENDPOINT", "http://mirror:8080//")).endpoint())
                .isEqualTo(URI.create("http://mirror:8080"));
        assertThat(settings(Map.of("HF_HUB_OFFLINE", "yes")).offline()).isTrue();
    }

    @Test
    void nonsense_is_refused_without_showing_the_token() {
        assertThatThrownBy(() -> settings(Map.of("HF_ENDPOINT", "ftp://x"))).hasMessageContaining("HF_ENDPOINT");
        assertThatThrownBy(() -> settings(Map.of("HF_TOKEN", "se cret"))).hasMessageNotContaining("cret");
        assertThat(settings(Map.of("HF_TOKEN", "secret")).toString()).doesNotContain("secret");
    }

    @Test
    void offline_is_what_either_variable_says_and_the_hubs_own_goes_first() {
        assertThat(settings(Map.of("TRANSFORMERS_OFFLINE", "1")).offline()).isTrue();
        assertThat(settings(Map.of("HF_HUB_OFFLINE", "", "TRANSFORMERS_OFFLINE", "true"))
                        .offline())
                .isTrue();
        assertThat(settings(Map.of("HF_HUB_OFFLINE", "0", "TRANSFORMERS_OFFLINE", "1"))
                        .offline())
                .isFalse();
    }

    @Test
    void variables_in_paths_are_replaced() {
        assertThat(settings(Map.of("HF_HOME", "$DATA/hf", "DATA", "/d")).cache())
                .isEqualTo(Path.of("/d/hf/hub"));
        assertThat(settings(Map.of("HF_HUB_CACHE", "${DATA}-x/$NONE", "DATA", "/d"))
                        .cache())
                .isEqualTo(Path.of("/d-x/$NONE"));
    }

    @Test
    void what_cannot_be_a_token_or_a_port_is_said() throws IOException {
        Files.createDirectories(home.resolve(".cache/huggingface"));
        Files.write(home.resolve(".cache/huggingface/token"), new byte[] {(byte) 0xff, (byte) 0xfe, 0});
        assertThatThrownBy(() -> settings(Map.of()))
                .hasMessageEndingWith("token: the hub token cannot be read: it is not UTF-8 text");
        assertThatThrownBy(() -> settings(Map.of("HF_TOKEN", "t", "HF_ENDPOINT", "http://h:99999")))
                .hasMessageContaining("is not an http or https address");
    }

    @ParameterizedTest
    @ValueSource(strings = {"org/name", "a/b", "Org-1/Llama-2-7B-AWQ", "o/n.v2_x"})
    void repository_names(String text) {
        assertThat(RepoName.isName(text)).isTrue();
        assertThat(RepoName.parse(text)).hasToString(text);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "name", "/name", "org/", "org/a/b", "../x", "org/..", "org/a b", "o/n?x", "o/-n", "o/n.git", "./model"
            })
    void not_repository_names(String text) {
        assertThat(RepoName.isName(text)).isFalse();
        assertThatThrownBy(() -> RepoName.parse(text)).isInstanceOf(IllegalArgumentException.class);
    }
}
