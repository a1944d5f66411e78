//! How 1C says no: a status, its internal code, and words.

/// An answer that refuses the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// 1C's internal code; -1 for everything that its program text threw.
    pub code: i32,
    /// For people, in Russian.
    pub message: String,
}

impl Refusal {
    fn new(status: u16, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// An exception of the configuration or the platform.
    pub fn exception(message: impl Into<String>) -> Self {
        Self::new(500, -1, message)
    }

    /// A set that is not published.
    pub fn no_entity(name: &str) -> Self {
        Self::new(404, 8, format!("Тип сущности \"{name}\" не найден."))
    }

    /// No object with this key.
    pub fn no_instance(entity: &str) -> Self {
        let short = entity.split_once('_').map_or(entity, |(_, short)| short);
        Self::new(404, 9, format!("Экземпляр сущности \"{short}\" не найден по переданному ключу."))
    }

    /// A field in a path that is not there.
    pub fn no_segment(name: &str) -> Self {
        Self::new(400, 6, format!("Сегмент пути {name} не найден!"))
    }

    /// A function that this entity does not have.
    pub fn no_method() -> Self {
        Self::new(404, 11, "Метод не найден")
    }

    /// A key that is no key of this entity.
    pub fn bad_key(entity: &str) -> Self {
        Self::new(400, 7, format!("Не хватает элемента ключа сущности \"{entity}\"."))
    }

    /// An option that cannot be read.
    pub fn bad_option(option: &str) -> Self {
        Self::new(400, 14, format!("Ошибка разбора опции запроса {option}"))
    }

    /// An option that does not exist.
    pub fn unknown_option(option: &str) -> Self {
        Self::new(400, 0, format!("Параметр {option} не поддерживается"))
    }

    /// A body that cannot be read.
    pub fn bad_body() -> Self {
        Self::new(400, 2, "Неверный формат запроса")
    }

    /// A value that a property cannot take.
    pub fn bad_value(property: &str) -> Self {
        Self::new(400, 4, format!("Неверное значение свойства \"{property}\"."))
    }

    /// An independent record with this key is there already.
    pub fn exists() -> Self {
        Self::new(400, 15, "Сущность с указанным ключом уже существует")
    }

    /// A method that this address does not take.
    pub fn method() -> Self {
        Self::new(405, 19, "Использование указанного HTTP-метода запрещено")
    }

    /// What is not implemented, such as `$batch`.
    pub fn not_supported() -> Self {
        Self::new(501, 0, "Возможность не поддерживается")
    }

    /// A function of the filter language that does not exist.
    pub fn no_function(name: &str) -> Self {
        Self::new(400, 21, format!("Функция {name} не реализована или указаны неверные аргументы"))
    }

    /// Another version than `If-Match` asked for.
    pub fn version() -> Self {
        Self::new(412, 0, "Версия объекта изменилась")
    }

    /// An object does not support loading.
    pub fn no_load_mode() -> Self {
        Self::new(400, 17, "Объект не поддерживает запись в режиме загрузки данных")
    }

    /// A comparison that the database refuses.
    pub fn incomparable() -> Self {
        let text = "{(3, 23)}: Неверные параметры в операции сравнения. \
                    Нельзя сравнивать поля неограниченной длины и поля несовместимых типов.";
        Self::exception(text)
    }
}
