package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class TokenBlocksTest {
    /** An id for each character, its code; BOS is 1. */
    private static final Tokenizer CHARACTERS = new Tokenizer() {
        @Override
        public int[] encode(String text, boolean bos) {
            return ((bos ? "\u0001" : "") + text).chars().toArray();
        }

        @Override
        public String decode(int[] ids) {
            throw new UnsupportedOperationException();
        }

        @Override
        public int vocabularySize() {
            return 65536;
        }

        @Override
        public void close() {}
    };

    @Test
    void documents_are_joined_behind_one_bos_and_cut() {
        TokenBlocks blocks = TokenBlocks.cut(CHARACTERS, text("ab", "cdefghij", "k"), 3, 4);
        assertThat(blocks.blocks())
                .isDeepEqualTo(new int[][] {{1, 'a', 'b', 'c'}, {'d', 'e', 'f', 'g'}, {'h', 'i', 'j', 'k'}});
        assertThat(blocks.tokensFound()).isEqualTo(12);
        assertThat(blocks.tokens()).isEqualTo(12);
        assertThat(blocks.description()).isEqualTo("letters, sha256 00ff");
    }

    @Test
    void a_document_longer_than_a_block_is_kept_and_short_ones_share_one() {
        assertThat(TokenBlocks.cut(CHARACTERS, text("abcdefg"), 2, 4).blocks())
                .isDeepEqualTo(new int[][] {{1, 'a', 'b', 'c'}, {'d', 'e', 'f', 'g'}});
        CalibrationText many = new CalibrationText(Collections.nCopies(100, "x"), "letters", "00ff");
        assertThat(TokenBlocks.cut(CHARACTERS, many, 10, 10).blocks()).hasNumberOfRows(10);
    }

    @Test
    void too_little_text_says_the_number_of_blocks_found() {
        assertThatThrownBy(() -> TokenBlocks.cut(CHARACTERS, text("ab", "cdefghij"), 3, 4))
                .isInstanceOf(BadDatasetException.class)
                .hasMessage("2 blocks of 4 tokens found in letters (11 tokens), 3 asked; give --samples 2 or a larger"
                        + " --calibration");
    }

    @Test
    void text_for_no_block_at_all_does_not_advise_zero_samples() {
        assertThatThrownBy(() -> TokenBlocks.cut(CHARACTERS, text("ab"), 1, 4))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageStartingWith("0 blocks of 4 tokens found in letters (3 tokens), 1 asked")
                .hasMessageNotContaining("--samples 0");
    }

    @Test
    void up_to_a_number_of_blocks_is_as_many_as_the_text_gives() {
        assertThat(TokenBlocks.cutUpTo(CHARACTERS, text("ab", "cdefghij"), 128, 4)
                        .blocks())
                .isDeepEqualTo(new int[][] {{1, 'a', 'b', 'c'}, {'d', 'e', 'f', 'g'}});
        assertThat(TokenBlocks.cutUpTo(CHARACTERS, text("ab", "cdefghij"), 1, 4).blocks())
                .isDeepEqualTo(new int[][] {{1, 'a', 'b', 'c'}});
        assertThatThrownBy(() -> TokenBlocks.cutUpTo(CHARACTERS, text("ab"), 128, 4))
                .isInstanceOf(BadDatasetException.class)
                .hasMessage(
                        "0 blocks of 4 tokens found in letters (3 tokens); give --seq-len 3 or a larger --calibration");
    }

    @Test
    void a_size_below_one_is_refused() {
        assertThatThrownBy(() -> TokenBlocks.cut(CHARACTERS, text("ab"), 0, 4))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> TokenBlocks.cut(CHARACTERS, text("ab"), 1, 0))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void parts_of_a_very_long_document_end_at_lines_and_lose_nothing() {
        assertThat(TokenBlocks.parts("ab\ncd\nefghijk", 4)).containsExactly("ab\n", "cd\n", "efgh", "ijk");
        assertThat(TokenBlocks.parts("abc\ud83d\ude80d", 4)).containsExactly("abc\ud83d\ude80", "d");
        assertThat(TokenBlocks.parts("abcd", 4)).containsExactly("abcd");
    }

    @Test
    void default_calibration_begins_with_the_train_excerpt_encoded_as_one_text() {
        try (Tokenizer tokenizer = Tokenizers.open(TestFolders.wikiTokenizer())) {
            int[] train = tokenizer.encode(Wikitext2.trainExcerpt(), true);
            TokenBlocks blocks = TokenBlocks.cut(tokenizer, CalibrationText.wikitext2(), 16, 1024);
            assertThat(Arrays.stream(blocks.blocks())
                            .flatMapToInt(Arrays::stream)
                            .toArray())
                    .isEqualTo(Arrays.copyOf(train, 16 * 1024));
        }
    }

    @Test
    void bundled_calibration_text_gives_the_usual_128_blocks_of_4096() {
        try (Tokenizer tokenizer = Tokenizers.open(TestFolders.wikiTokenizer())) {
            TokenBlocks blocks = TokenBlocks.cut(tokenizer, CalibrationText.wikitext2(), 128, 4096);
            assertThat(blocks.blocks()).hasDimensions(128, 4096);
        }
    }

    private static CalibrationText text(String... documents) {
        return new CalibrationText(List.of(documents), "letters", "00ff");
    }
}
