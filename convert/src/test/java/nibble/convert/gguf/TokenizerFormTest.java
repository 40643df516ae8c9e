package nibble.convert.gguf;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Path;
import nibble.checkpoint.source.BadCheckpointException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** llama.cpp writes spaces as pieces do and changes a text in no other way. */
class TokenizerFormTest {
    private static JsonNode tokenizer(boolean pieces, String normalizer, String cut) throws JsonProcessingException {
        return new ObjectMapper()
                .readTree("{\"normalizer\": %s, \"pre_tokenizer\": %s, \"model\": {\"byte_fallback\": %s}}"
                        .formatted(normalizer, cut, pieces));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        true | null | null
        true | {"type": "Replace", "pattern": {"String": " "}, "content": "▁"} \
            | {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"}
        true | {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}]} | null
        true | null | {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}
        false | null | null
        false | {"type": "Sequence", "normalizers": []} | {"type": "Digits"}
        false | {"type": "NFC"} | null
        """)
    void what_llama_cpp_does_too_is_written(boolean pieces, String normalizer, String cut) throws Exception {
        JsonNode tokenizer = tokenizer(pieces, normalizer, cut);
        assertThatCode(() -> TokenizerForm.require(Path.of("m"), tokenizer)).doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        false | {"type": "Lowercase"} | null | changes text by {"type":"Lowercase"}
        false | {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]} | null \
            | changes text by {"type":"Strip"}
        true | {"type": "NFKC"} | null | changes text by {"type":"NFKC"}
        true | {"type": "Replace", "pattern": {"String": "x"}, "content": "▁"} | null | changes text by
        true | {"type": "Prepend", "prepend": "_"} | null | changes text by
        true | null | {"type": "Digits"} | splits text by {"type":"Digits"}
        """)
    void what_gguf_has_no_key_for_is_refused(boolean pieces, String normalizer, String cut, String message)
            throws Exception {
        JsonNode tokenizer = tokenizer(pieces, normalizer, cut);
        assertThatThrownBy(() -> TokenizerForm.require(Path.of("m"), tokenizer))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(message)
                .hasMessageContaining("which GGUF has no key for");
    }
}
