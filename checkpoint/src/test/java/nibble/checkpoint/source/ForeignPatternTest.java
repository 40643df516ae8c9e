package nibble.checkpoint.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ForeignPatternTest {
    private static final String ENDLESS = "(?:(?:(?:(?:^){1000}){1000}){1000}){1000}";

    @Test
    void repeats_of_what_looks_at_no_letter_are_refused_wherever_they_stand() {
        for (String around : new String[] {
            "%s",
            "a|%s",
            "((%s))",
            "(?i:%s)?",
            "[(]%s",
            "[[a](]%s",
            "\\(%s",
            "\\[%s",
            "\\p{L}%s",
            "\\x{41}{2}%s",
            "\\\\%s",
            "[\\]]%s",
            ")%s",
            "%s[",
            "(?x)#[\n%s#]\n",
            "(?ix:#[\n%s#]\n)",
            "\\Q[\\E%s]",
            "(?<name>%s)",
            "a{2,3}%s"
        }) {
            assertThat(ForeignPattern.compile(around.formatted(ENDLESS), 0))
                    .as(around)
                    .isEmpty();
        }
        assertThat(ForeignPattern.compile("(?:^){99999999999}", 0)).isEmpty();
        assertThat(ForeignPattern.compile("(?:(?:^){0,1000}?){1000,}", 0)).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{1}",
                "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+",
                "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+",
                "\\d{1,3}(?=(?:\\d{3})*\\b)",
                ".*layers\\.[0-9]+\\.mlp\\.(gate|up)_proj$"
            })
    void expressions_of_published_files_are_taken(String expression) {
        assertThat(ForeignPattern.compile(expression, Pattern.UNICODE_CHARACTER_CLASS))
                .isPresent();
    }

    @Test
    void an_expression_that_looks_at_letters_again_and_again_is_stopped() {
        ForeignPattern pattern = ForeignPattern.compile("(.*.*.*.*.*.*)*x$", 0).orElseThrow();
        assertThatThrownBy(() -> pattern.matcher("a".repeat(100), new ForeignPattern.Looks(100_000))
                        .find())
                .isInstanceOf(ForeignPattern.EndlessException.class);
        assertThat(pattern.matcher("ax", new ForeignPattern.Looks(100)).find()).isTrue();
    }
}
