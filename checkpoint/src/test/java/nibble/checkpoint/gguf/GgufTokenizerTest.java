package nibble.checkpoint.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.vocabulary.PreTokenizer;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What metadata means where it is silent is what llama.cpp of 2026-09-28 takes it to mean. */
class GgufTokenizerTest {
    private final Map<String, Object> metadata = new HashMap<>(Map.of(
            "tokenizer.ggml.model",
            "gpt2",
            "tokenizer.ggml.pre",
            "llama-bpe",
            "tokenizer.ggml.tokens",
            List.of("a", "b", "ab", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<tool>", "", "[PAD8]"),
            "tokenizer.ggml.token_type",
            List.of(1L, 1L, 1L, 3L, 3L, 3L, 4L, 1L, 5L),
            "tokenizer.ggml.merges",
            List.of("a b"),
            "tokenizer.ggml.bos_token_id",
            3L,
            "tokenizer.ggml.eos_token_id",
            4L));

    private TokenizerDescription described() {
        return GgufTokenizer.describe(new GgufMetadata(Path.of("tiny.gguf"), metadata))
                .orElseThrow();
    }

    @ParameterizedTest
    @CsvSource({
        "llama-bpe, true",
        "tekken, true",
        "pixtral, true",
        "falcon3, true",
        "gpt-2, false",
        "smollm, false",
        "qwen2, false",
        "deepseek-llm, false",
        "gpt-4o, false",
        "dbrx, false",
        "default, false"
    })
    void a_file_that_does_not_say_gets_the_bos_of_its_way_to_split_text(String pre, boolean bos) {
        metadata.put("tokenizer.ggml.pre", pre);
        assertThat(described().leadingIds()).isEqualTo(bos ? List.of(3) : List.of());
        metadata.put("tokenizer.ggml.add_bos_token", false);
        assertThat(described().leadingIds()).isEmpty();
        metadata.put("tokenizer.ggml.add_bos_token", true);
        assertThat(described().leadingIds()).containsExactly(3);
    }

    @Test
    void a_file_that_does_not_name_its_way_to_split_text_gets_llama_cpps_default() {
        metadata.remove("tokenizer.ggml.pre");
        assertThat(described().json().at("/pre_tokenizer/pretokenizers")).hasSize(5);
        assertThat(described().leadingIds()).isEmpty();
    }

    /**
     * Of "a12b" with a merge of 1 and 2, llama.cpp makes a, 12, b by deepseek-llm and a, 1, 2, b by deepseek-coder. The
     * published vocabulary shows no difference: none of deepseek-llm's 99,757 merges joins two digits.
     */
    @Test
    void deepseek_llms_runs_of_digits_are_llama_cpps_and_its_published_single_digits_have_the_same_name() {
        metadata.put("tokenizer.ggml.pre", "deepseek-llm");
        ObjectNode json = described().json();
        ArrayNode steps = (ArrayNode) json.at("/pre_tokenizer/pretokenizers");
        assertThat(steps.get(5).at("/pattern/Regex").asText()).isEqualTo("\\p{N}+");
        assertThat(steps.get(5).path("behavior").asText()).isEqualTo("Isolated");
        assertThat(PreTokenizer.of(json).map(PreTokenizer::name)).contains("deepseek-llm");
        ((ObjectNode) steps.get(5)).removeAll().put("type", "Digits").put("individual_digits", true);
        assertThat(PreTokenizer.of(json).map(PreTokenizer::name)).contains("deepseek-llm");

        metadata.put("tokenizer.ggml.pre", "deepseek-coder");
        assertThat(described().json().at("/pre_tokenizer/pretokenizers/4"))
                .hasToString("{\"type\":\"Digits\",\"individual_digits\":true}");
    }

    @Test
    void sentencepiece_gets_a_bos_a_space_and_its_usual_special_tokens() {
        metadata.put("tokenizer.ggml.model", "llama");
        metadata.put("tokenizer.ggml.tokens", List.of("<unk>", "<s>", "</s>", "▁a"));
        metadata.put("tokenizer.ggml.token_type", List.of(2L, 3L, 3L, 1L));
        metadata.remove("tokenizer.ggml.bos_token_id");
        metadata.remove("tokenizer.ggml.eos_token_id");
        assertThat(described().leadingIds()).containsExactly(1);
        assertThat(described().spaceInFront()).isTrue();
        assertThat(described().names())
                .containsEntry("bos_token", "<s>")
                .containsEntry("eos_token", "</s>")
                .containsEntry("unk_token", "<unk>");
        metadata.put("tokenizer.ggml.add_space_prefix", false);
        assertThat(described().spaceInFront()).isFalse();
    }

    @Test
    void the_token_that_ends_a_turn_is_a_stop_and_stays_one_in_what_is_made() {
        assertThat(described().eotId()).as("known by its text").isEqualTo(5);
        assertThat(described().stopIds()).containsExactly(4, 5);
        metadata.put("tokenizer.ggml.eot_token_id", 6L);
        assertThat(described().eotId()).as("as the file says").isEqualTo(6);
        assertThat(described().stopIds()).containsExactly(4, 5, 6);
        assertThat(new String(described().madeFiles().get("generation_config.json"), StandardCharsets.UTF_8))
                .contains("\"eos_token_id\" : [ 4, 6 ]");
    }

    /** Of gpt-oss, this one ends a message; what was said before an answer would end there. */
    @Test
    void the_end_of_a_message_is_no_stop_where_the_end_of_a_turn_has_a_token_of_its_own() {
        metadata.put(
                "tokenizer.ggml.tokens",
                List.of("a", "b", "ab", "<|start|>", "<|return|>", "<|end|>", "<|call|>", "<|endoftext|>", "x"));
        metadata.put("tokenizer.ggml.token_type", List.of(1L, 1L, 1L, 3L, 3L, 3L, 3L, 3L, 1L));
        assertThat(described().stopIds()).containsExactly(4, 6, 7);
        assertThat(described().eotId()).isEqualTo(7);
        metadata.put(
                "tokenizer.ggml.tokens",
                List.of("a", "b", "ab", "<|start|>", "<|endoftext|>", "<|end|>", "<|user|>", "y", "x"));
        assertThat(described().stopIds()).as("Phi-3's ends a turn").containsExactly(4, 5);
        assertThat(described().eotId()).isEqualTo(5);
    }

    @Test
    void gemma_4s_pieces_are_merged_by_the_files_list_and_not_by_scores() {
        metadata.put("tokenizer.ggml.model", "gemma4");
        metadata.put("tokenizer.ggml.tokens", List.of("<unk>", "<bos>", "</s>", "▁", "a", " ", "▁a", "  ", "<0x0A>"));
        metadata.put("tokenizer.ggml.token_type", List.of(2L, 3L, 3L, 1L, 1L, 1L, 1L, 1L, 6L));
        metadata.put("tokenizer.ggml.merges", List.of("▁ a", "   "));
        metadata.put("tokenizer.ggml.bos_token_id", 1L);
        metadata.put("tokenizer.ggml.eos_token_id", 2L);
        metadata.put("tokenizer.ggml.add_space_prefix", false);
        metadata.put("tokenizer.ggml.add_bos_token", true);
        ObjectNode json = described().json();
        assertThat(json.at("/model/merges")).hasToString("[[\"▁\",\"a\"],[\" \",\" \"]]");
        assertThat(json.at("/model/byte_fallback").asBoolean()).isTrue();
        assertThat(described().leadingIds()).containsExactly(1);
        assertThat(described().spaceInFront()).isFalse();
    }

    @Test
    void text_is_searched_for_control_and_user_defined_tokens_alone() {
        assertThat(described().json().get("added_tokens").findValuesAsText("content"))
                .containsExactly("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<tool>");
        assertThat(described().json().at("/model/vocab").has("[EMPTY_7]")).isTrue();
    }

    @Test
    void phi_3s_special_tokens_take_the_spaces_behind_them() {
        metadata.put("general.name", "Phi-3-mini-4k-instruct");
        assertThat(described().json().get("added_tokens").findValuesAsText("rstrip"))
                .containsOnly("true");
    }

    @Test
    void ids_outside_the_vocabulary_count_as_absent() {
        metadata.put("tokenizer.ggml.bos_token_id", 4_000_000_000L);
        metadata.put("tokenizer.ggml.eos_token_id", 9L);
        assertThat(described().leadingIds()).isEmpty();
        assertThat(described().names()).isEmpty();
    }
}
