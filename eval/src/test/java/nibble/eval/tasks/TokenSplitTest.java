package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import nibble.datasets.Tokenizer;
import nibble.engine.Continuation;
import org.junit.jupiter.api.Test;

class TokenSplitTest {
    private static final int BOS = 1;
    private static final int END = 2;
    private static final TokenSplit SPLIT = new TokenSplit(new CharacterTokenizer(), false, END, 10);

    @Test
    void spaces_at_the_contexts_end_go_over_to_the_continuation() {
        TokenSplit.Request request =
                SPLIT.requests(List.of(new Ask.Request("ab \u00a0\n", " c"))).getFirst();
        assertThat(request.context()).containsExactly('a', 'b');
        assertThat(request.continuation()).containsExactly(' ', '\u00a0', '\n', ' ', 'c');
    }

    /**
     * An id may span both texts: whatever it is, as many ids as the context has by itself are taken for the context.
     */
    @Test
    void the_cut_is_made_by_number() {
        Tokenizer pairs = new CharacterTokenizer() {
            @Override
            public int[] encode(String text, boolean bos) {
                return super.encode(text.replace("bc", "X"), bos);
            }
        };
        TokenSplit.Request request = new TokenSplit(pairs, false, END, 10)
                .requests(List.of(new Ask.Request("ab", "cd")))
                .getFirst();
        assertThat(request.context()).containsExactly('a', 'b');
        assertThat(request.continuation()).containsExactly('d');
    }

    @Test
    void what_is_too_long_loses_its_beginning() {
        TokenSplit.Request request =
                SPLIT.requests(List.of(new Ask.Request("abcdefgh", "12345"))).getFirst();
        assertThat(request.excess(10)).isEqualTo(2);
        Continuation truncated = request.truncated(10);
        assertThat(truncated.ids()).containsExactly('c', 'd', 'e', 'f', 'g', 'h', '1', '2', '3', '4', '5');
        assertThat(truncated.scored()).isEqualTo(5);
    }

    @Test
    void with_bos_each_request_begins_with_it() {
        TokenSplit.Request request = new TokenSplit(new CharacterTokenizer(), true, END, 10)
                .requests(List.of(new Ask.Request("ab", "c")))
                .getFirst();
        assertThat(request.context()).containsExactly(BOS, 'a', 'b');
        assertThat(request.continuation()).containsExactly('c');
    }

    /** The example in the harness's documentation: ten ids, a context of four. */
    @Test
    void windows_predict_each_id_once_and_the_last_reaches_back() {
        List<TokenSplit.Request> windows =
                new TokenSplit(new CharacterTokenizer(), false, END, 4).windows("0123456789");
        assertThat(windows).hasSize(3);
        assertRequest(windows.get(0), "\u0002", "0123");
        assertRequest(windows.get(1), "3", "4567");
        assertRequest(windows.get(2), "567", "89");
    }

    private static void assertRequest(TokenSplit.Request request, String context, String continuation) {
        assertThat(request.context()).containsExactly(context.chars().toArray());
        assertThat(request.continuation()).containsExactly(continuation.chars().toArray());
    }

    @Test
    void a_prompt_leaves_room_to_write() {
        assertThat(SPLIT.prompt("abcdefgh", 4)).containsExactly('c', 'd', 'e', 'f', 'g', 'h');
        assertThat(SPLIT.prompt("abc", 4)).hasSize(3);
    }
}
