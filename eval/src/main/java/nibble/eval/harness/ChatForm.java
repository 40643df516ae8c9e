package nibble.eval.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import nibble.datasets.chat.ChatRequest;
import nibble.eval.tasks.EvaluatedModel;

/**
 * Makes the text of a context: as it is, or as a conversation by a model's chat template, as the harness and
 * transformers do.
 *
 * @param chat the model's template; empty for plain text
 * @param system an instruction to begin with; empty for none
 * @param multiturn whether each example is a question and an answer, rather than a part of the one question
 */
record ChatForm(Optional<EvaluatedModel.Chat> chat, String system, boolean multiturn) {
    /** Stands where a text is to be gone on with, as in transformers. */
    private static final String HERE = "CONTINUE_FINAL_MESSAGE_TAG";

    /** Texts as they are. */
    static final ChatForm PLAIN = new ChatForm(Optional.empty(), "", false);

    /**
     * The text of a context.
     *
     * @param goesOn whether the answer has begun already
     * @throws BadDatasetException if the template refuses the conversation
     */
    String text(List<Contexts.Message> context, boolean goesOn) {
        if (chat.isEmpty()) {
            return context.stream().map(m -> m.content() + m.delimiter()).collect(Collectors.joining());
        }
        List<Contexts.Message> turns = multiturn ? context : singleTurn(context);
        try {
            return rendered(chat.get(), turns, goesOn);
        } catch (BadDatasetException e) {
            // The harness leaves the system's message out where a template refuses it.
            List<Contexts.Message> rest =
                    turns.stream().filter(m -> !m.role().equals("system")).toList();
            if (rest.size() == turns.size()) {
                throw e;
            }
            return rendered(chat.get(), rest, goesOn);
        }
    }

    /** Everything that the user says as one message; the answer that has begun stays apart. */
    private static List<Contexts.Message> singleTurn(List<Contexts.Message> context) {
        List<Contexts.Message> turns = new ArrayList<>();
        boolean told = context.getFirst().role().equals("system");
        if (told) {
            turns.add(context.getFirst());
        }
        List<Contexts.Message> rest = context.subList(told ? 1 : 0, context.size());
        boolean begun = rest.getLast().role().equals("assistant");
        List<Contexts.Message> asked = rest.subList(0, rest.size() - (begun ? 1 : 0));
        StringBuilder question = new StringBuilder();
        for (int i = 0; i < asked.size(); i++) {
            question.append(asked.get(i).content())
                    .append(i + 1 < asked.size() ? asked.get(i).delimiter() : "");
        }
        turns.add(new Contexts.Message("user", question.toString(), ""));
        if (begun) {
            turns.add(rest.getLast());
        }
        return turns;
    }

    private static String rendered(EvaluatedModel.Chat chat, List<Contexts.Message> turns, boolean goesOn) {
        List<Map<String, String>> messages = new ArrayList<>();
        turns.forEach(turn -> messages.add(Map.of("role", turn.role(), "content", turn.content())));
        if (!goesOn) {
            return chat.template().render(request(messages, true), chat.tokens());
        }
        Contexts.Message last = turns.getLast();
        messages.set(messages.size() - 1, Map.of("role", last.role(), "content", last.content() + HERE + " "));
        String text = chat.template().render(request(messages, false), chat.tokens());
        int here = text.lastIndexOf(HERE);
        if (here < 0 || !text.contains(PythonText.strip(last.content()))) {
            throw new BadDatasetException("prompt template " + chat.template().name()
                    + ": drops or changes the beginning of the answer (gen_prefix) that it is to go on with; measure"
                    + " this task without --apply-chat-template");
        }
        String before = text.substring(0, here);
        return text.startsWith(HERE + " ", here) ? before : PythonText.stripRight(before);
    }

    private static ChatRequest request(List<?> messages, boolean prompt) {
        return new ChatRequest(messages, null, null, prompt, Map.of());
    }
}
