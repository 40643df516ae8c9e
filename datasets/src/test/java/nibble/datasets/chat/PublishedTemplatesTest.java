package nibble.datasets.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Published chat templates render byte for byte as in transformers 5.17 with Jinja2 3.1.6. Their texts are not part of
 * this project: {@code -Dnibble.chat.templates=FOLDER} names a folder of them (models/templates of llama.cpp's source);
 * the expected hashes are made by scripts/published_templates.py.
 */
class PublishedTemplatesTest {
    private static final String FOLDER = "nibble.chat.templates";
    private static final ZonedDateTime TIME = ZonedDateTime.of(2026, 3, 7, 14, 5, 9, 0, ZoneOffset.UTC);
    private static final ObjectMapper JSON = new ObjectMapper();

    private record Row(
            String template, String templateHash, String conversation, int renderings, int raised, String outputHash) {
        static Row of(String line) {
            String[] cells = line.split(",");
            return new Row(
                    cells[0], cells[1], cells[2], Integer.parseInt(cells[3]), Integer.parseInt(cells[4]), cells[5]);
        }
    }

    private static List<Row> rows() throws IOException {
        return resource("published-templates.csv").lines().skip(1).map(Row::of).toList();
    }

    private static String resource(String name) throws IOException {
        try (var in = PublishedTemplatesTest.class.getResourceAsStream("/chat/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void the_table_holds_seventy_templates_and_most_of_their_renderings_do_not_raise() throws IOException {
        assertThat(rows().stream().map(Row::template).distinct()).hasSize(70);
        assertThat(rows().stream().mapToInt(Row::renderings).sum()).isEqualTo(23_520);
        assertThat(rows().stream().mapToInt(Row::raised).sum()).isLessThan(7_000);
    }

    @TestFactory
    Stream<DynamicTest> every_published_template_renders_as_in_transformers() throws IOException {
        String folder = System.getProperty(FOLDER);
        JsonNode inputs = JSON.readTree(resource("conversations.json"));
        return rows().stream()
                .map(row -> DynamicTest.dynamicTest(row.template() + ", " + row.conversation(), () -> {
                    assumeTrue(folder != null, "give the folder of published templates with -D" + FOLDER + "=FOLDER");
                    Path file = Path.of(folder, row.template() + ".jinja");
                    assumeTrue(Files.exists(file), file + ": not there");
                    byte[] source = Files.readAllBytes(file);
                    assumeTrue(
                            HexFormat.of().formatHex(sha256().digest(source)).equals(row.templateHash()),
                            file + ": another version");
                    assertSame(row, new String(source, StandardCharsets.UTF_8), inputs);
                }));
    }

    private static void assertSame(Row row, String source, JsonNode inputs) throws IOException {
        SequencedMap<String, String> tokens = new LinkedHashMap<>();
        inputs.path("tokens")
                .properties()
                .forEach(token -> tokens.put(token.getKey(), token.getValue().asText()));
        List<?> messages = JSON.treeToValue(inputs.path("conversations").path(row.conversation()), List.class);
        List<?> tools = JSON.treeToValue(inputs.path("tools"), List.class);
        MessageDigest outputs = sha256();
        int raised = 0;
        int total = 0;
        for (JsonNode one : inputs.path("values")) {
            Map<String, Object> values = new LinkedHashMap<>();
            one.properties()
                    .forEach(value -> values.put(value.getKey(), JSON.convertValue(value.getValue(), Object.class)));
            List<?> documents = (List<?>) values.remove("documents");
            List<List<?>> withoutAndWith = new ArrayList<>();
            withoutAndWith.add(null);
            withoutAndWith.add(tools);
            for (List<?> given : withoutAndWith) {
                for (boolean prompt : new boolean[] {true, false}) {
                    total++;
                    try {
                        ChatRequest request = new ChatRequest(messages, given, documents, prompt, values);
                        String text = ChatTemplate.of(row.template(), source)
                                .render(request, new SpecialTokens(tokens), () -> TIME);
                        outputs.update(text.getBytes(StandardCharsets.UTF_8));
                        outputs.update((byte) 0);
                    } catch (BadDatasetException e) {
                        raised++;
                        outputs.update((byte) 1);
                    }
                }
            }
        }
        assertThat(total).isEqualTo(row.renderings());
        assertThat(raised).isEqualTo(row.raised());
        assertThat(HexFormat.of().formatHex(outputs.digest())).isEqualTo(row.outputHash());
    }
}
