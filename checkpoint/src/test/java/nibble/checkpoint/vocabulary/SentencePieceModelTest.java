package nibble.checkpoint.vocabulary;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SentencePieceModelTest {
    private static final Path ROOT =
            Path.of(System.getProperty("nibble.root", "..")).toAbsolutePath().normalize();

    /** The two files of each folder are one tokenizer: transformers made the second of the first. */
    @ParameterizedTest
    @ValueSource(strings = {"models/wiki-7m", "../shared/data/tokenizers/llama2"})
    void the_json_made_of_a_model_is_that_of_transformers(String folder) throws IOException {
        Path model = ROOT.resolve(folder).resolve("tokenizer.model");
        Assumptions.assumeTrue(Files.exists(model), () -> model + " is absent");
        SentencePieceModel found =
                SentencePieceModel.read(Files.readAllBytes(model)).orElseThrow();
        assertThat(found.spaceInFront()).isTrue();
        JsonNode made = SentencePieceJson.of(found.pieces(), List.of(), SentencePieceJson.Space.EACH_PART);
        JsonNode expected = new ObjectMapper()
                .readTree(model.resolveSibling("tokenizer.json").toFile());
        assertThat(made.at("/model/vocab")).isEqualTo(expected.at("/model/vocab"));
        assertThat(made.at("/model/merges").size())
                .isEqualTo(expected.at("/model/merges").size());
        for (int i = 0; i < made.at("/model/merges").size(); i++) {
            JsonNode merge = expected.at("/model/merges").get(i);
            JsonNode pair = made.at("/model/merges").get(i);
            String text =
                    merge.isArray() ? merge.get(0).asText() + " " + merge.get(1).asText() : merge.asText();
            assertThat(pair.get(0).asText() + " " + pair.get(1).asText())
                    .as("merge %d", i)
                    .isEqualTo(text);
        }
        assertThat(made.get("normalizer")).isEqualTo(expected.get("normalizer"));
        assertThat(made.get("decoder")).isEqualTo(expected.get("decoder"));
        assertThat(PostProcessor.json("<s>", found.bosId(), "", -1).get("single"))
                .isEqualTo(expected.at("/post_processor/single"));
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void damaged_models_are_read_or_found_to_be_none(long seed) throws IOException {
        byte[] whole = Files.readAllBytes(ROOT.resolve("models/wiki-7m/tokenizer.model"));
        Random random = new Random(seed);
        for (int round = 0; round < 200; round++) {
            byte[] changed = Arrays.copyOf(whole, 1 + random.nextInt(whole.length));
            for (int i = random.nextInt(5); i >= 0; i--) {
                changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
            }
            SentencePieceModel.read(changed);
        }
    }
}
