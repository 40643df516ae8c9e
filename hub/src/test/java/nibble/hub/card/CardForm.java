package nibble.hub.card;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;

/** What the eye of a hub's user trips over in a card. */
public final class CardForm {
    private CardForm() {}

    /** Headings and tables stand apart, no section is empty, code has both its fences. */
    public static void requireWellFormed(String card) {
        List<String> lines = card.lines().toList();
        for (int i = 1; i < lines.size(); i++) {
            if (lines.get(i).startsWith("#") && !lines.get(i - 1).startsWith("```")) {
                assertThat(lines.get(i - 1)).as("before " + lines.get(i)).isEmpty();
                assertThat(lines.get(i + 1)).as("after " + lines.get(i)).isEmpty();
                assertThat(lines.get(i + 2)).as("section " + lines.get(i)).isNotEmpty();
                assertThat(lines.get(i + 2).startsWith("## ") && lines.get(i).startsWith("## "))
                        .as("section " + lines.get(i))
                        .isFalse();
            }
        }
        assertThat(card).doesNotContain("\n\n\n");
        assertThat(lines.stream().filter(line -> line.startsWith("```")).count() % 2)
                .isZero();
    }
}
