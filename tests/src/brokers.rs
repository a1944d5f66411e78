//! One story over each broker.

/// Two tests of an `async fn story(rabbit: Option<String>) -> anyhow::Result<()>`: `story::embedded`, with `None`, and
/// `story::over_rabbitmq`, with the address of a virtual host of its own.
#[macro_export]
macro_rules! over_both_brokers {
    ($story:ident) => {
        mod $story {
            #[tokio::test]
            async fn embedded() -> anyhow::Result<()> {
                super::$story(None).await
            }

            #[tokio::test]
            async fn over_rabbitmq() -> anyhow::Result<()> {
                let node = $crate::servers::RabbitMq::shared().await?;
                super::$story(Some(node.vhost().await?.url)).await
            }
        }
    };
}
