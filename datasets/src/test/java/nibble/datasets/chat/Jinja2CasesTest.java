package nibble.datasets.chat;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.jinja.Template;
import nibble.jinja.syntax.JinjaException;
import org.junit.jupiter.api.Test;

/**
 * Small templates, made for this test or found by comparing random ones, render as in Jinja2 3.1.6 with transformers'
 * settings (scripts/jinja2_cases.py), and raise where it raises.
 */
class Jinja2CasesTest {
    private static final ZonedDateTime TIME = ZonedDateTime.of(2026, 3, 7, 14, 5, 9, 0, ZoneOffset.UTC);

    @Test
    void every_case_prints_what_jinja2_prints_and_raises_where_it_raises() throws IOException {
        ObjectMapper json = new ObjectMapper();
        JsonNode fixture;
        try (var in = Jinja2CasesTest.class.getResourceAsStream("/chat/jinja2-cases.json")) {
            fixture = json.readTree(new String(in.readAllBytes(), StandardCharsets.UTF_8));
        }
        @SuppressWarnings("unchecked")
        Map<String, Object> values = json.treeToValue(fixture.path("values"), Map.class);
        List<String> different = new ArrayList<>();
        for (JsonNode one : fixture.path("cases")) {
            String expected =
                    one.path(1).isNull() ? "raises" : "prints " + one.path(1).asText();
            String found;
            try {
                found = "prints " + Template.chat(one.path(0).asText()).render(values, () -> TIME);
            } catch (JinjaException e) {
                assertThat(e.reason())
                        .as(one.path(0).asText() + ": " + e.getMessage())
                        .isIn(reasons(one.path(2).asText()));
                found = "raises";
            }
            if (!found.equals(expected)) {
                different.add(one.path(0) + "\n  Jinja2 " + expected + "\n  Nibble " + found);
            }
        }
        assertThat(different).isEmpty();
        assertThat(fixture.path("cases")).hasSizeGreaterThan(600);
    }

    private static List<JinjaException.Reason> reasons(String error) {
        return switch (error) {
            case "TemplateSyntaxError", "SyntaxError" -> List.of(JinjaException.Reason.SYNTAX);
            case "TemplateError" -> List.of(JinjaException.Reason.RAISED);
            case "RecursionError", "MemoryError" -> List.of(JinjaException.Reason.LIMIT);
            default -> List.of(JinjaException.Reason.ERROR, JinjaException.Reason.SYNTAX, JinjaException.Reason.LIMIT);
        };
    }
}
