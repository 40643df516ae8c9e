package nibble.langchain4j;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.Content;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.request.ResponseFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import nibble.datasets.chat.ChatMessage;

/** Makes Nibble's conversations of LangChain4j's, and refuses what a local model is not asked here. */
final class Conversations {
    private Conversations() {}

    /** @throws UnsupportedFeatureException for what is no text */
    static List<ChatMessage> of(List<dev.langchain4j.data.message.ChatMessage> messages) {
        List<ChatMessage> made = new ArrayList<>();
        for (dev.langchain4j.data.message.ChatMessage message : messages) {
            made.add(
                    switch (message) {
                        case SystemMessage system -> ChatMessage.system(system.text());
                        case UserMessage user -> ChatMessage.user(text(user.contents()));
                        case AiMessage answer
                        when !answer.hasToolExecutionRequests() ->
                            ChatMessage.assistant(answer.text() == null ? "" : answer.text());
                        default ->
                            throw new UnsupportedFeatureException(
                                    "a message of type " + message.type() + " with tools is not supported");
                    });
        }
        return made;
    }

    private static String text(List<Content> contents) {
        return contents.stream()
                .map(content -> {
                    if (content instanceof TextContent text) {
                        return text.text();
                    }
                    throw new UnsupportedFeatureException("content of type " + content.type() + " is not supported");
                })
                .collect(Collectors.joining("\n"));
    }

    /** Refuses tools, forms of answers, and another model. */
    static void requireKnown(ChatRequestParameters asked, String name) {
        if (asked.toolSpecifications() != null && !asked.toolSpecifications().isEmpty() || asked.toolChoice() != null) {
            throw new UnsupportedFeatureException("tools are not supported");
        }
        if (asked.responseFormat() != null && !asked.responseFormat().equals(ResponseFormat.TEXT)) {
            throw new UnsupportedFeatureException("a response format other than text is not supported");
        }
        if (asked.modelName() != null && !asked.modelName().equals(name)) {
            throw new InvalidRequestException("model " + asked.modelName() + ": this is " + name);
        }
    }
}
