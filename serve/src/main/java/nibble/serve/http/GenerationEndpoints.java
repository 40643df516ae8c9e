package nibble.serve.http;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import nibble.serve.api.ApiException;
import nibble.serve.api.ChatCall;
import nibble.serve.api.CompletionCall;
import nibble.serve.api.Fields;
import nibble.serve.api.Prompt;
import nibble.serve.api.TextOptions;
import nibble.serve.format.AnswerFormat;
import nibble.serve.format.ChatFormat;
import nibble.serve.format.CompletionFormat;
import nibble.serve.generation.Answer;
import nibble.serve.generation.Answers;
import nibble.serve.generation.Prompts;
import nibble.serve.generation.ServedModel;
import nibble.serve.generation.ServiceMetrics;
import nibble.serve.generation.TokenTexts;
import org.jspecify.annotations.Nullable;

/** Answers {@code /v1/completions} and {@code /v1/chat/completions}. */
final class GenerationEndpoints {
    /** How long a request waits for its texts before it looks after its client. */
    private static final long WAIT_MILLIS = 200;

    private final ServedModel model;
    private final TokenTexts texts;
    private final Prompts prompts;
    private final ServiceMetrics metrics;

    GenerationEndpoints(ServedModel model, TokenTexts texts, Prompts prompts, ServiceMetrics metrics) {
        this.model = model;
        this.texts = texts;
        this.prompts = prompts;
        this.metrics = metrics;
    }

    void completions(Exchange exchange) throws InterruptedException {
        ObjectNode body = exchange.json();
        requireModel(model, body);
        CompletionCall call = CompletionCall.read(body, model.vocabularySize());
        TextOptions options = call.options();
        int alternatives = Math.max(call.alternatives(), options.promptAlternatives());
        boolean scored = call.echo() && call.alternatives() >= 0 || options.promptAlternatives() >= 0;
        OptionalInt most = options.maxTokens().isPresent()
                ? options.maxTokens()
                : OptionalInt.of(CompletionCall.DEFAULT_MAX_TOKENS);
        List<Answers.Wanted> wanted = new ArrayList<>();
        for (Prompt prompt : call.prompts()) {
            int[] ids = prompts.ids(prompt, call.specialTokens());
            // Without the client's own limit, the default one yields to the context.
            int room = prompts.room(ids.length, options.maxTokens(), "prompt");
            wanted.add(new Answers.Wanted(ids, Math.min(room, most.getAsInt()), alternatives, scored));
        }
        answer(
                exchange,
                options,
                new CompletionFormat("cmpl-" + exchange.id(), model.name(), texts, call, prompts),
                wanted);
    }

    void chat(Exchange exchange) throws InterruptedException {
        ObjectNode body = exchange.json();
        requireModel(model, body);
        ChatCall call = ChatCall.read(body, model.vocabularySize());
        TextOptions options = call.options();
        int[] ids = prompts.ids(call.conversation());
        int room = prompts.room(ids.length, options.maxTokens(), "messages");
        Answers.Wanted wanted = new Answers.Wanted(
                ids,
                room,
                Math.max(call.alternatives(), options.promptAlternatives()),
                options.promptAlternatives() >= 0);
        answer(
                exchange,
                withTemplateStops(options),
                new ChatFormat("chatcmpl-" + exchange.id(), model.name(), texts, call),
                List.of(wanted));
    }

    /** Built-in templates end the assistant's turn by texts, where the model writes no id for it. */
    private TextOptions withTemplateStops(TextOptions options) {
        List<String> stops = new ArrayList<>(options.stops());
        model.template().ifPresent(template -> stops.addAll(template.stops()));
        return options.withStops(stops);
    }

    /**
     * Refuses a model that is not served; a request may leave the name out.
     *
     * @throws ApiException if another one is asked for
     */
    static void requireModel(ServedModel model, ObjectNode body) {
        String name = new Fields(body).text("model").orElse(model.name());
        if (!model.names().contains(name)) {
            throw ApiException.unknownModel("The model `" + (name.length() > 100 ? name.substring(0, 100) + "…" : name)
                    + "` does not exist. Served here: " + String.join(", ", model.names()) + ".");
        }
    }

    private void answer(Exchange exchange, TextOptions options, AnswerFormat format, List<Answers.Wanted> wanted)
            throws InterruptedException {
        try (Answers answers = new Answers(model, prompts, metrics, options)) {
            answers.submit(wanted);
            if (options.stream()) {
                stream(exchange, options, format, answers);
            } else {
                while (!answers.finished()) {
                    answers.await(WAIT_MILLIS);
                    exchange.requireClient();
                }
                exchange.send(200, format.whole(answers));
            }
        }
    }

    private static void stream(Exchange exchange, TextOptions options, AnswerFormat format, Answers answers)
            throws InterruptedException {
        boolean begun = false;
        while (!answers.finished()) {
            @Nullable Answer answer = answers.await(WAIT_MILLIS);
            exchange.requireClient();
            if (answer == null) {
                continue;
            }
            if (!begun) {
                begun = true;
                format.first(answers).forEach(exchange::event);
            }
            if (answer.hasNews()) {
                exchange.event(format.piece(answer, answers));
            }
        }
        if (options.usage()) {
            exchange.event(format.usagePiece(answers));
        }
        exchange.endEvents();
    }
}
