//! What answers look like, in both formats.

use super::*;

#[tokio::test]
async fn metadata_and_the_root_name_the_same_sets() {
    let (_simulator, client) = started().await;
    let metadata = client.text("$metadata").await;
    assert!(metadata.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<edmx:Edmx "));
    assert_eq!(metadata.matches('\n').count(), metadata.matches("\r\n").count(), "every line ends in CRLF");
    let root = client.json("?$format=json").await;
    for set in root["value"].as_array().unwrap() {
        let name = set["name"].as_str().unwrap();
        assert!(metadata.contains(&format!("<EntitySet Name=\"{name}\"\r\n")), "{name}");
        assert_eq!(client.status(&format!("{name}?$format=json&$top=1")).await, 200, "{name}");
    }
    assert!(!metadata.contains("SelectChanges"));
    let empty = client.text("").await;
    assert!(empty.contains("<atom:title>Default</atom:title><collection href=\"Catalog_Номенклатура\">"));
}

#[tokio::test]
async fn json_has_its_line_ends_strings_and_links() {
    let (simulator, client) = started().await;
    let text = client.text(&format!("{ORDERS}?$format=json&$top=1")).await;
    let root = simulator.url();
    assert!(
        text.starts_with(&format!(
            "{{\n\"odata.metadata\": \"{root}/$metadata#{ORDERS}\",\n\"value\": [{{\n\"Ref_Key\""
        ))
    );
    for literal in [
        "\"LineNumber\": \"1\"",
        "\"СуммаНДС\": 3333.33",
        "\"ЖелаемаяДатаОтгрузки\": \"0001-01-01T00:00:00\"",
        "\"ДокументОснование_Type\": \"StandardODATA.Undefined\"",
        "\"Автор_Type\": \"UnavailableEntities.UnavailableEntity_",
        "\"Контрагент@navigationLinkUrl\": \"Document_ЗаказКлиента(guid'",
    ] {
        assert!(text.contains(literal), "{literal}\n{text}");
    }
    let product = client.text(&format!("{PRODUCTS}?$format=json&$top=1&$filter=Code eq '00-00000004'")).await;
    for literal in [
        "\"ШтрихКод\": \"                    \"",
        "\"Коэффициент\": \"27021597764222979\"",
        "\"ЕдиницаИзмерения_Key\": \"65646900-",
        "\"Производитель_Key\": \"00000000-0000-0000-0000-000000000000\"",
        "\"ДополнительныеРеквизиты\": []",
    ] {
        assert!(product.contains(literal), "{literal}\n{product}");
    }
    for absent in ["ЕдиницаИзмерения@", "Производитель@"] {
        assert!(!product.contains(absent), "no link to what is not published or not set: {absent}");
    }
    let folder = client.text(&format!("{PRODUCTS}?$format=json&$top=1&$filter=IsFolder eq true")).await;
    assert!(folder.contains("\"Артикул\": null"), "{folder}");
}

#[tokio::test]
async fn lines_repeat_their_owner_in_lists_only() {
    let (_simulator, client) = started().await;
    let list = client.json(&format!("{ORDERS}?$format=json&$top=1")).await;
    let order = &list["value"][0];
    let key = order["Ref_Key"].as_str().unwrap();
    assert_eq!(order["Товары"][0]["Ref_Key"], key);
    let one = client.json(&format!("{ORDERS}(guid'{key}')?$format=json")).await;
    assert!(one["odata.metadata"].as_str().unwrap().ends_with("/$metadata#Document_ЗаказКлиента/@Element"));
    assert_eq!(one["Товары"][0].get("Ref_Key"), None);
    assert_eq!(one["Товары"][0]["Сумма"], order["Товары"][0]["Сумма"]);
    let lines = client.json(&format!("{ORDERS}_Товары?$format=json&$top=1")).await;
    assert_eq!(lines["value"][0]["Ref_Key"], key);
    let through = client.json(&format!("{ORDERS}(guid'{key}')/Контрагент/ИНН?$format=json")).await;
    assert!(through["value"].as_str().unwrap().starts_with("77"), "{through}");
}

#[tokio::test]
async fn atom_has_crlf_around_entries_and_lf_inside() {
    let (_simulator, client) = started().await;
    let text = client.text(&format!("{ORDERS}?$top=2&$inlinecount=allpages")).await;
    assert!(text.starts_with("<feed xmlns=\"http://www.w3.org/2005/Atom\"\r\n\t\txmlns:at="), "no declaration");
    assert!(text.contains("\t<entry>\r\n\t\t<id>http://"));
    assert!(text.contains("\t<d:СуммаДокумента>20000</d:СуммаДокумента>\n\t<d:"));
    assert!(text.contains("\n\t\t\t<d:LineNumber>1</d:LineNumber>\n"));
    assert!(text.contains("\t<d:Комментарий/>\n"));
    assert!(text.contains("&lt;Адрес xmlns=\"http://www.v8.1c.ru/ssl/contactinfo\""));
    assert!(text.ends_with("\t<m:count>100</m:count>\r\n</feed>"));
    let (head, properties) = text.split_once("<m:properties").unwrap();
    assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
    let (properties, _) = properties.split_once("</m:properties>").unwrap();
    assert!(!properties.contains('\r'));
    let folder = client.text(&format!("{PRODUCTS}?$top=1&$filter=IsFolder eq true")).await;
    assert!(folder.contains("<d:Артикул m:null=\"true\"/>"), "{folder}");
}

#[tokio::test]
async fn what_is_wrong_has_1cs_code_in_the_form_that_was_asked_for() {
    let (_simulator, client) = started().await;
    let nobody = "guid'c3314aea-6899-11e8-8780-b06ebf2faaf6'";
    for (path, status, code) in [
        ("Catalog_Нет", 404, "8"),
        (&*format!("{PRODUCTS}({nobody})"), 404, "9"),
        (&*format!("{PRODUCTS}?$filter=Нет eq 1"), 400, "6"),
        (&*format!("{PRODUCTS}?$filter=Code eq"), 400, "14"),
        (&*format!("{PRODUCTS}?$expan=Parent"), 400, "0"),
        (&*format!("{PRODUCTS}?$filter=tolower(Code) eq 'a'"), 400, "21"),
        (&*format!("{PRODUCTS}?$filter=Ref_Key gt {nobody}"), 500, "-1"),
        (&*format!("{ORDERS}?$filter=Комментарий eq ''"), 500, "-1"),
        ("InformationRegister_СостоянияЗаказов/SliceLast()", 404, "11"),
        ("$batch", 501, "0"),
    ] {
        let xml = client.get(path).await;
        assert_eq!(xml.status, status, "{path}");
        assert!(xml.text.contains(&format!("<m:code>{code}</m:code>")), "{path} {}", xml.text);
        let with = if path.contains('?') { "&" } else { "?" };
        let json = client.json(&format!("{path}{with}$format=json")).await;
        assert_eq!(json["odata.error"]["code"], code, "{path}");
    }
    let plus = client.raw(&format!("{}?$filter=Code+eq+'1'", encode(PRODUCTS))).await;
    assert_eq!(plus.status, 400);
}
