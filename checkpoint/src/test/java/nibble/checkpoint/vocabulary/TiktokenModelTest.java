package nibble.checkpoint.vocabulary;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Collections;
import java.util.List;
import nibble.files.digest.Sha256;
import org.junit.jupiter.api.Test;

/** Meta's lists of tokens, told by their number; the file itself says no more. */
class TiktokenModelTest {
    private static TiktokenModel model(int tokens) {
        return new TiktokenModel(Collections.nCopies(tokens, "a"));
    }

    /** The digest is that of the names in llama-models 0.3.0, with a line feed between them. */
    @Test
    void llama_4_has_2048_special_tokens_and_gpt_4os_way_to_cut() {
        TiktokenModel llama4 = model(200_000);
        List<String> special = llama4.specialTokens();
        assertThat(special).hasSize(2048).doesNotHaveDuplicates();
        assertThat(new Sha256().add(String.join("\n", special)).hex())
                .isEqualTo("306daed83253fe62b54b88b2f422abc1072fe420c1fb49bf71bf55e94322356d");
        assertThat(llama4.cut().name()).isEqualTo("llama4");
        assertThat(llama4.names()).containsEntry("pad_token", "<|finetune_right_pad|>");
        assertThat(llama4.stops()).containsExactly("<|eom|>", "<|eot|>");
    }

    @Test
    void llama_3_has_256_special_tokens_and_its_own_way_to_cut() {
        TiktokenModel llama3 = model(128_000);
        assertThat(llama3.specialTokens())
                .hasSize(256)
                .startsWith("<|begin_of_text|>")
                .endsWith("<|reserved_special_token_245|>");
        assertThat(llama3.cut().name()).isEqualTo("llama-bpe");
        assertThat(llama3.stops()).containsExactly("<|eom_id|>", "<|eot_id|>");
    }
}
