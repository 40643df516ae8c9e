package nibble.checkpoint.origin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import nibble.checkpoint.source.BadCheckpointException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cards as people write them; what is expected is what huggingface_hub 1.33 with PyYAML reads from the same text. */
class FrontMatterTest {
    private static final Path CARD = Path.of("README.md");

    @TempDir
    Path temp;

    private static FrontMatter card(String text) {
        return FrontMatter.parse(CARD, text.replace("¶", "\n").replace("¬", "\r"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            ignoreLeadingAndTrailingWhitespace = false,
            quoteCharacter = '\0',
            value = {
                "---¶license: apache-2.0  # note¶---¶# T|apache-2.0|# T",
                "---¶license: 'apache-2.0'¶---¶# T|apache-2.0|# T",
                "---¶license:¶- mit¶---¶# T|mit|# T",
                "---¶license: [mit, apache-2.0]¶---¶# T|mit,apache-2.0|# T",
                "---¶license: >-¶  apache-2.0¶---¶# T|apache-2.0|# T",
                "---¶license:¶  apache-2.0¶---¶# T|apache-2.0|# T",
                "---¶x: &a mit¶license: *a¶---¶# T|mit|# T",
                "---¬¶license: mit¬¶---¬¶# T¬¶text|mit|# T¶text",
                "\uFEFF---¶license: mit¶---¶# T|mit|# T",
                "¶---¶license: mit¶---¶# T|mit|# T",
                "---¶license: mit¶--- ¶# T|mit|# T",
                "---¶license: mit¶---|mit|",
                "---¶other:¶    license: mit¶---¶# T||# T",
                "---¶license: mit¶# T||---¶license: mit¶# T",
                "---¶---¶# T||# T",
                "---¶license: 4¶---¶# T||# T",
                "---¶license:¶---¶# T||# T",
                "---¶license: mit¶license: apache-2.0¶---¶# T|apache-2.0|# T",
                "---¶text: '---'¶license: mit¶---¶# T|mit|# T",
                "---¶tags:¶\t- a¶license: mit¶---¶# T|mit|# T",
                "# T¶---¶license: mit¶---||# T¶---¶license: mit¶---",
                "||",
            })
    void a_license_is_what_yaml_says(String text, String licenses, String body) {
        FrontMatter found = card(text == null ? "" : text);
        assertThat(String.join(",", found.texts("license"))).isEqualTo(licenses == null ? "" : licenses);
        assertThat(found.body()).isEqualTo(body == null ? "" : body.replace("¶", "\n"));
    }

    @Test
    void norways_language_is_a_text() {
        assertThat(card("---¶language:¶- no¶- en¶---¶").texts("language")).containsExactly("no", "en");
    }

    @Test
    void damaged_yaml_is_refused_with_its_line() {
        assertThatThrownBy(() -> card("---¶license: mit¶tags: [a¶---¶"))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("README.md: line ")
                .hasMessageContaining("is not YAML");
        assertThatThrownBy(() -> card("---¶- a¶- b¶---¶"))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("key: value");
    }

    @Test
    void no_object_is_made_and_aliases_and_depth_are_bounded() {
        assertThatThrownBy(() -> card("---¶license: !!javax.script.ScriptEngineManager [x]¶---¶"))
                .isInstanceOf(BadCheckpointException.class);
        String laughs = IntStream.range(1, 30)
                .mapToObj(i -> "a" + i + ": &a" + i + " [" + ("*a" + (i - 1) + ",").repeat(9) + "*a" + (i - 1) + "]")
                .collect(Collectors.joining("\n"));
        assertThatThrownBy(() -> card("---¶a0: &a0 [x]¶" + laughs + "¶---¶"))
                .isInstanceOf(BadCheckpointException.class);
        assertThatThrownBy(() -> card("---¶a: " + "[".repeat(5_000) + "¶---¶"))
                .isInstanceOf(BadCheckpointException.class);
        assertThatThrownBy(() -> card("---¶a: " + "[".repeat(60) + "]".repeat(60) + "¶---¶"))
                .isInstanceOf(BadCheckpointException.class);
        assertThatThrownBy(() -> card("---¶a: " + "x".repeat(2 << 20) + "¶---¶"))
                .isInstanceOf(BadCheckpointException.class);
    }

    @Test
    void what_is_written_reads_back_whatever_it_holds() throws IOException {
        String odd = "a: b # c\n\t\"\u2028\u0085\u007f\uFEFF no ~ {x} \uD83D\uDE00 \u00e9";
        Map<String, Object> values =
                Map.of("text", odd, "list", List.of("no", "1.0", odd), "map", Map.of("value", 5.25, "name", "x"));
        Path file = Files.writeString(temp.resolve("card.md"), Yaml.block(values) + "\n\n# T\n");
        assertThat(FrontMatter.read(file).values()).isEqualTo(values);
    }

    @Test
    void where_a_model_came_from_is_read_from_the_cache_the_report_and_the_card() throws IOException {
        Path snapshot =
                Files.createDirectories(temp.resolve("models--org--Base-1B/snapshots/" + "0123456789".repeat(4)));
        Files.writeString(
                snapshot.resolve("README.md"),
                "---\nlicense: llama3.2 # theirs\nlanguage: [en, de]\nbase_model: org/Parent\n---\n");
        Origin origin = Origin.of(snapshot);
        assertThat(origin.baseModel()).isEqualTo("org/Base-1B");
        assertThat(origin.revision()).isEqualTo("0123456789".repeat(4));
        assertThat(origin.license()).containsExactly("llama3.2");
        assertThat(origin.language()).containsExactly("en", "de");

        Path quantized = Files.createDirectories(temp.resolve("models--me--Base-AWQ/snapshots/" + "f".repeat(40)));
        Files.writeString(
                quantized.resolve("README.md"), "---\nbase_model: org/Base-1B\nbase_model_relation: quantized\n---\n");
        assertThat(Origin.of(quantized).baseModel()).isEqualTo("org/Base-1B");
        Files.writeString(quantized.resolve("conversion_report.json"), "{\"source\": {\"base_model\": \"org/Other\"}}");
        assertThat(Origin.of(quantized).baseModel()).isEqualTo("org/Other");

        Path plain = Files.createDirectories(temp.resolve("somewhere/model"));
        assertThat(Origin.of(plain).isUnknown()).isTrue();
        Files.writeString(plain.resolve("README.md"), "---\nlicense: [broken\n---\n");
        assertThat(Origin.of(plain).isUnknown()).isTrue();
    }
}
