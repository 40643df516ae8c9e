package nibble.langchain4j;

import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** The examples of docs/embedding.md for LangChain4j. */
final class LangChain4jExample {
    private LangChain4jExample() {}

    // region ask
    static String ask(Path model, String question) {
        ChatRequestParameters greedy = ChatRequestParameters.builder()
                .temperature(0.0)
                .maxOutputTokens(32)
                .build();
        LocalModel.Settings settings = LocalModel.Settings.usual().withTemplate("orca-hashes");
        try (LocalModel local = LocalModel.open(model, settings)) {
            ChatModel chat = new LocalChatModel(local, greedy, OptionalLong.empty());
            return chat.chat(SystemMessage.from("Be brief."), UserMessage.from(question))
                    .aiMessage()
                    .text();
        }
    }
    // endregion

    // region stream
    static ChatResponse stream(LocalModel local, String question, Consumer<String> out) {
        ChatRequestParameters few = ChatRequestParameters.builder()
                .temperature(0.7)
                .maxOutputTokens(32)
                .build();
        StreamingChatModel chat = new LocalStreamingChatModel(local, few, OptionalLong.of(7));
        CompletableFuture<ChatResponse> whole = new CompletableFuture<>();
        chat.chat(List.of(UserMessage.from(question)), new StreamingChatResponseHandler() {
            @Override
            public void onPartialResponse(String piece) {
                out.accept(piece);
            }

            @Override
            public void onCompleteResponse(ChatResponse response) {
                whole.complete(response);
            }

            @Override
            public void onError(Throwable error) {
                whole.completeExceptionally(error);
            }
        });
        return whole.join();
    }
    // endregion
}
